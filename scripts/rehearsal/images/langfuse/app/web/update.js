'use strict';
// public.checkUpdate: a plain fetch of the vendor's address, without a timeout and without a look at the status.
const log = require('../lib/log');
const { version } = require('../lib/release');

const CURRENT = `v${version}`;
const PLACE = '[trpc.public.checkUpdate]';

async function checkUpdate() {
  let body;
  try {
    const response = await fetch(`https://langfuse.com/api/latest-releases?repo=langfuse/langfuse&version=${CURRENT}`);
    body = await response.json();
  } catch {
    log.error(`${PLACE} failed to fetch latest-release api`, { error: {} });
    return null;
  }
  if (!isReleaseList(body)) {
    log.error(`${PLACE} Release API response is invalid, does not match schema`, { error: {} });
    return null;
  }
  const release = body.find(({ repo }) => repo === 'langfuse/langfuse');
  if (!release) {
    log.error(`${PLACE} Release API response is invalid, does not contain langfuse/langfuse`, { error: {} });
    return null;
  }
  // Outside the try, as in the real one: what is no version here ends in a 500.
  return { updateType: compareVersions(CURRENT, release.latestRelease), currentVersion: CURRENT, latestRelease: release.latestRelease, url: release.url };
}

function isReleaseList(body) {
  const isUrl = (text) => typeof text === 'string' && URL.canParse?.(text) !== false && /^[a-z][a-z0-9+.-]*:\/\/./i.test(text);
  const isTime = (text) => typeof text === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text);
  return Array.isArray(body) && body.every((r) => r && typeof r.repo === 'string' && typeof r.latestRelease === 'string' && isTime(r.publishedAt) && isUrl(r.url));
}

function compareVersions(current, latest) {
  const [a, b] = [current, latest].map((text) => {
    const match = /^v(\d+)\.(\d+)\.(\d+)(?:[-.].*)?$/.exec(text);
    if (!match) throw new Error(`Invalid version: ${text}`);
    return match.slice(1).map(Number);
  });
  const at = [0, 1, 2].find((i) => a[i] !== b[i]);
  return at === undefined || b[at] < a[at] ? null : ['major', 'minor', 'patch'][at];
}

module.exports = { checkUpdate };
