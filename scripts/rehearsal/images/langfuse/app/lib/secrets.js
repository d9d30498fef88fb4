'use strict';
const { createCipheriv, createHash, randomBytes, scryptSync, timingSafeEqual } = require('crypto');

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

// The hash that a request is looked up by; it depends on SALT.
const fastHash = (secret, salt) => createHash('sha256').update(secret).update(sha256(salt)).digest('hex');

// The slow hash of keys and passwords: scrypt, where the real one has bcrypt.
function slowHash(secret, salt = randomBytes(16).toString('hex')) {
  return `${salt}:${scryptSync(secret, salt, 32).toString('hex')}`;
}
function matchesSlowHash(secret, stored) {
  return timingSafeEqual(Buffer.from(slowHash(secret, stored.split(':')[0])), Buffer.from(stored));
}

const displaySecret = (secret) => `${secret.slice(0, 6)}...${secret.slice(-4)}`;

// AES-256-GCM. 64 characters that are no hex pass the env schema and fail only here: "Invalid key length".
function encrypt(plain, key) {
  if (!key) throw new Error('Missing environment variable: `ENCRYPTION_KEY`');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv);
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  return [iv, sealed, cipher.getAuthTag()].map((part) => part.toString('hex')).join(':');
}

module.exports = { fastHash, slowHash, matchesSlowHash, displaySecret, encrypt };
