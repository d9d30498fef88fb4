'use strict';
// ClickHouse's native protocol, as little of it as migrations need: hello, one query at a time, and results
// of integers and strings. It announces an old revision, so that every server answers in the short form.
const net = require('net');
const tls = require('tls');

const REVISION = 54031; // before client info and time zones, after block info and total rows

class Reader {
  constructor(socket) {
    this.buffer = Buffer.alloc(0);
    this.waiting = null;
    this.ended = null;
    socket.on('data', (chunk) => {
      this.buffer = Buffer.concat([this.buffer, chunk]);
      this.waiting?.();
    });
    const end = (error) => {
      this.ended = error instanceof Error ? error : new Error('EOF');
      this.waiting?.();
    };
    socket.on('error', end).on('close', end);
  }

  async bytes(count) {
    while (this.buffer.length < count) {
      if (this.ended) throw this.ended;
      await new Promise((resolve) => (this.waiting = resolve));
    }
    const taken = this.buffer.subarray(0, count);
    this.buffer = this.buffer.subarray(count);
    return taken;
  }

  async varint() {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = (await this.bytes(1))[0];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  }

  async string() {
    return (await this.bytes(await this.varint())).toString();
  }
}

function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return Buffer.from([...bytes, value]);
}
const string = (text) => Buffer.concat([varint(Buffer.byteLength(text)), Buffer.from(text)]);
const NO_BLOCK = Buffer.concat([varint(2), string(''), Buffer.from([1, 0, 2, 255, 255, 255, 255, 0]), varint(0), varint(0)]);

class ServerError extends Error {
  constructor(code, text) {
    super(`code: ${code}, message: ${text}`);
    this.code = code;
  }
}

class Native {
  static async connect({ host, port, user, password, database, secure }) {
    const client = new Native();
    client.socket = secure ? tls.connect({ host, port, rejectUnauthorized: false }) : net.connect({ host, port });
    client.socket.setNoDelay(true);
    await new Promise((resolve, reject) => {
      client.socket.once(secure ? 'secureConnect' : 'connect', resolve).once('error', reject);
      client.socket.setTimeout(10_000, () => client.socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`)));
    });
    client.socket.setTimeout(0);
    client.reader = new Reader(client.socket);
    client.socket.write(
      Buffer.concat([varint(0), string('migrate'), varint(1), varint(1), varint(REVISION), string(database), string(user), string(password)]),
    );
    const kind = await client.reader.varint();
    if (kind === 2) throw await client.exception();
    if (kind !== 0) throw new Error(`unexpected packet [${kind}] from server`);
    await client.reader.string();
    for (let i = 0; i < 3; i++) await client.reader.varint();
    return client;
  }

  // The rows, each an array of numbers, BigInts and strings.
  async query(sql) {
    this.socket.write(Buffer.concat([varint(1), string(''), string(''), varint(2), varint(0), string(sql), NO_BLOCK]));
    const rows = [];
    for (;;) {
      const kind = await this.reader.varint();
      if (kind === 1 || kind === 7 || kind === 8) {
        await this.reader.string();
        const block = await this.block();
        if (kind === 1) rows.push(...block);
      } else if (kind === 2) throw await this.exception();
      else if (kind === 3) for (let i = 0; i < 3; i++) await this.reader.varint();
      else if (kind === 5) return rows;
      else if (kind === 6) {
        for (let i = 0; i < 3; i++) await this.reader.varint();
        await this.reader.bytes(1);
        await this.reader.varint();
        await this.reader.bytes(1);
      } else throw new Error(`unexpected packet [${kind}] from server`);
    }
  }

  async block() {
    for (let field = await this.reader.varint(); field !== 0; field = await this.reader.varint()) {
      await this.reader.bytes(field === 1 ? 1 : 4);
    }
    const columns = await this.reader.varint();
    const rows = Array.from({ length: await this.reader.varint() }, () => []);
    for (let c = 0; c < columns; c++) {
      await this.reader.string();
      const type = await this.reader.string();
      for (const row of rows) row.push(await this.value(type));
    }
    return rows;
  }

  async value(type) {
    if (type === 'String') return this.reader.string();
    if (type === 'UInt8') return (await this.reader.bytes(1))[0];
    if (type === 'Int64') return Number((await this.reader.bytes(8)).readBigInt64LE());
    if (type === 'UInt64') return (await this.reader.bytes(8)).readBigUInt64LE();
    throw new Error(`unsupported column type ${type}`);
  }

  async exception() {
    const code = (await this.reader.bytes(4)).readInt32LE();
    await this.reader.string();
    const text = await this.reader.string();
    await this.reader.string();
    if ((await this.reader.bytes(1))[0]) await this.reader.varint().then(() => this.exception());
    return new ServerError(code, text.replace(/^DB::Exception: /, ''));
  }

  close() {
    this.socket.destroy();
  }
}

module.exports = { Native };
