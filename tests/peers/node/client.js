// Runs the cases of gRPC's interop tests, and further ones, with grpc-js. Prints PASS or FAIL for each as it ends.
'use strict';

const assert = require('assert/strict');
const fs = require('fs');
const service = require('./service.js');
const { grpc, testing, payload } = service;

const flags = service.flags();
const address = `127.0.0.1:${flags.server_port}`;
const credentials = flags.use_tls
  ? grpc.credentials.createSsl(fs.readFileSync(flags.ca_file))
  : grpc.credentials.createInsecure();
const options = { ...service.LIMITS };
if (flags.use_tls) options['grpc.ssl_target_name_override'] = flags.server_host_override || 'localhost';
const connect = (more) => new testing.TestService(address, credentials, { ...options, ...more });
const client = connect();
const { status } = grpc;

const MESSAGES = [
  'plain',
  '100 % sure: %41 stays %41',
  'tab\there, line\r\nbreak, "quotes" and \\backslash\\',
  'Grüße, Ελλάδα, Привет',
  'שלום عليكم नमस्ते',
  '你好，世界 こんにちは 안녕하세요',
  '👩‍🚀 and 😈',
];
const SIZES = [0, 1, 16383, 16384, 16385, 4194303, 4194304, 4194305, 67108864];
// google.rpc.Status { code: 5, message: "not here", details: [Any { type_url: "t/x", value: "y" }] }
const STATUS = Buffer.from('\x08\x05\x12\x08not here\x1a\x08\x0a\x03t/x\x12\x01y', 'latin1');

// Makes a unary call. Returns its answer and its metadata of both kinds.
function unary(method, request, metadata = new grpc.Metadata(), callOptions = {}, stub = client) {
  return new Promise((resolve, reject) => {
    const came = {};
    const call = stub[method](request, metadata, callOptions, (error, answer) => {
      if (error) return reject(error);
      came.answer = answer;
      return came.status && resolve(came);
    });
    call.on('metadata', (headers) => { came.headers = headers; });
    call.on('status', (end) => { came.status = end; if (came.answer) resolve(came); });
  });
}

// Reads a stream. Returns all its answers, and its metadata of both kinds.
function all(call) {
  return new Promise((resolve, reject) => {
    const came = { answers: [] };
    call.on('metadata', (headers) => { came.headers = headers; });
    call.on('data', (answer) => came.answers.push(answer));
    call.on('error', reject);
    call.on('status', (end) => { came.status = end; if (end.code === status.OK) resolve(came); });
  });
}

const first = (call) => new Promise((resolve, reject) => { call.once('data', resolve); call.once('error', reject); });

async function fails(code, promise) {
  const error = await promise.then(() => { throw new Error(`expected ${status[code]}, and OK came`); }, (error) => error);
  if (error.code !== code) throw new Error(`expected ${status[code]}, and ${error.message} came`);
  return error;
}

const sizes = (answers) => answers.map((answer) => answer.payload.body.length);
const wants = (...wanted) => ({ response_parameters: wanted.map((size) => ({ size })) });

// Makes a streaming call that is half-closed after these messages.
function send(call, requests, end = true) {
  requests.forEach((request) => call.write(request));
  if (end) call.end();
  return call;
}

async function withMessage(code, message) {
  const error = await fails(code, unary('UnaryCall', { response_status: { code, message } }));
  assert.equal(error.details, message);
}

async function echoed(initial, trailing) {
  const metadata = new grpc.Metadata();
  initial.forEach((value) => metadata.add(service.INITIAL, value));
  trailing.forEach((value) => metadata.add(service.TRAILING, Buffer.from(value)));
  const calls = [
    await unary('UnaryCall', {}, metadata),
    await all(send(client.FullDuplexCall(metadata), [wants(1)])),
  ];
  for (const came of calls) {
    assert.deepEqual(service.split(came.headers.get(service.INITIAL)), initial);
    assert.deepEqual(came.status.metadata.get(service.TRAILING).map((value) => [...value]), trailing.map((value) => [...value]));
  }
}

const inSeconds = (seconds) => ({ deadline: Date.now() + seconds * 1000 });

const CASES = {
  async empty_unary() { await unary('EmptyCall', {}); },
  async large_unary() {
    const { answer } = await unary('UnaryCall', { response_size: 314159, payload: payload(271828) });
    assert.equal(answer.payload.body.length, 314159);
  },
  async client_streaming() {
    const answer = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error, answer) => (error ? reject(error) : resolve(answer)));
      send(call, [27182, 8, 1828, 45904].map((size) => ({ payload: payload(size) })));
    });
    assert.equal(answer.aggregated_payload_size, 74922);
  },
  async server_streaming() {
    const { answers } = await all(client.StreamingOutputCall(wants(31415, 9, 2653, 58979)));
    assert.deepEqual(sizes(answers), [31415, 9, 2653, 58979]);
  },
  async ping_pong() {
    const call = client.FullDuplexCall();
    for (const [sent, wanted] of [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]]) {
      const answer = first(call);
      call.write({ ...wants(wanted), payload: payload(sent) });
      assert.equal((await answer).payload.body.length, wanted);
    }
    const rest = all(call);
    call.end();
    assert.deepEqual((await rest).answers, []);
  },
  async empty_stream() { assert.deepEqual((await all(send(client.FullDuplexCall(), []))).answers, []); },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(new grpc.Metadata(), inSeconds(0.001));
    await fails(status.DEADLINE_EXCEEDED, all(call));
  },
  async cancel_after_begin() {
    const ended = new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error) => (error ? reject(error) : resolve()));
      call.cancel();
    });
    await fails(status.CANCELLED, ended);
  },
  async cancel_after_first_response() {
    const call = client.FullDuplexCall();
    call.write({ ...wants(31415), payload: payload(27182) });
    const ended = all(call);
    ended.catch(() => {});
    assert.equal((await first(call)).payload.body.length, 31415);
    call.cancel();
    await fails(status.CANCELLED, ended);
  },
  async status_code_and_message() {
    await withMessage(status.UNKNOWN, 'test status message');
    const request = { response_status: { code: 2, message: 'test status message' } };
    const error = await fails(status.UNKNOWN, all(send(client.FullDuplexCall(), [request])));
    assert.equal(error.details, 'test status message');
  },
  async special_status_message() {
    await withMessage(status.UNKNOWN, '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n');
  },
  async custom_metadata() { await echoed(['test_initial_metadata_value'], [[0xab, 0xab, 0xab]]); },
  async unimplemented_method() { await fails(status.UNIMPLEMENTED, unary('UnimplementedCall', {})); },
  async unimplemented_service() {
    const stub = new testing.UnimplementedService(address, credentials, options);
    await fails(status.UNIMPLEMENTED, unary('UnimplementedCall', {}, undefined, {}, stub)).finally(() => stub.close());
  },
  async metadata_repeated_keys() { await echoed(['first', 'second', 'first'], [[1], [2], [1]]); },
  async metadata_every_byte() {
    const every = [...Array(256).keys()];
    await echoed(['visible ASCII: ~!@#$%^&*()'], [every, every.slice(0, 255), every.slice(0, 254), [255]]);
  },
  async metadata_empty_values() { await echoed([''], [[]]); },
  async metadata_large() { await echoed(['x'.repeat(9000)], [Array(6000).fill(0xab)]); },
  async status_messages() {
    for (let code = 1; code <= 16; code += 1) await withMessage(code, MESSAGES[code % MESSAGES.length]);
  },
  async status_details() {
    const metadata = new grpc.Metadata();
    metadata.set(service.DETAILS, STATUS);
    const error = await fails(status.NOT_FOUND, unary('UnaryCall', {}, metadata));
    assert.equal(error.details, 'not here');
    assert.deepEqual(error.metadata.get('grpc-status-details-bin'), [STATUS]);
  },
  async deadline_units() {
    const metadata = new grpc.Metadata();
    metadata.set(service.REPORT_DEADLINE, 'please');
    const left = async (callOptions) =>
      (await unary('UnaryCall', {}, metadata, callOptions)).headers.get(service.DEADLINE_LEFT)[0];
    assert.equal(await left({}), 'none');
    for (const seconds of [0.09, 2, 20, 7200, 50 * 24 * 3600, 3 * 365 * 24 * 3600]) {
      const seen = Number(await left(inSeconds(seconds)));
      assert.ok(seen >= (seconds - 5) * 1000 && seen <= seconds * 1001 + 1000, `${seen} ms of ${seconds} s`);
    }
  },
  async compression_both_ways() {
    for (const algorithm of [1, 2]) {
      const stub = connect({ 'grpc.default_compression_algorithm': algorithm });
      const yes = { value: true };
      const request = { payload: payload(100000), response_size: 100000, response_compressed: yes, expect_compressed: yes };
      const { answer } = await unary('UnaryCall', request, undefined, {}, stub);
      assert.deepEqual(answer.payload.body, Buffer.alloc(100000));
      const wanted = { response_parameters: [{ size: 100000, compressed: yes }], payload: payload(100000) };
      assert.deepEqual(sizes((await all(send(stub.FullDuplexCall(), [wanted]))).answers), [100000]);
      stub.close();
    }
    await fails(status.INVALID_ARGUMENT, unary('UnaryCall', { expect_compressed: { value: true } }));
  },
  async message_sizes() {
    for (const size of SIZES) {
      const { answer } = await unary('UnaryCall', { response_size: size, payload: payload(size) });
      assert.equal(answer.payload.body.length, size);
    }
  },
  async size_over_limit() {
    await fails(status.RESOURCE_EXHAUSTED, unary('UnaryCall', { response_size: 81 << 20 }));
    await unary('EmptyCall', {});
  },
  async concurrent_calls() {
    const streams = Array.from({ length: 100 }, () => client.FullDuplexCall());
    const firsts = streams.map(first);
    streams.forEach((call) => call.write({ ...wants(20), payload: payload(10) }));
    const calls = Array.from({ length: 1000 }, (_, size) => unary('UnaryCall', { response_size: size }));
    assert.deepEqual((await Promise.all(calls)).map(({ answer }) => answer.payload.body.length), [...calls.keys()]);
    assert.deepEqual(sizes(await Promise.all(firsts)), Array(100).fill(20));
    const rests = streams.map(all);
    streams.forEach((call) => call.end());
    (await Promise.all(rests)).forEach(({ answers }) => assert.deepEqual(answers, []));
  },
  async cancel_at_each_stage() {
    const usable = () => unary('EmptyCall', {});
    const ended = (begin) => fails(status.CANCELLED, new Promise((resolve, reject) => {
      const call = begin((error) => (error ? reject(error) : resolve()));
      call.cancel();
    }));
    await ended((callback) => client.UnaryCall({ response_size: 10 }, callback));
    await usable();
    await ended((callback) => send(client.StreamingInputCall(callback), [{ payload: payload(100000) }], false));
    await usable();
    const call = client.StreamingOutputCall(wants(...Array(100).fill(100000)));
    const rest = all(call);
    rest.catch(() => {});
    await first(call);
    call.cancel();
    await fails(status.CANCELLED, rest);
    await usable();
    const silent = client.StreamingOutputCall({ response_parameters: [{ size: 1, interval_us: 3000000 }] });
    const end = all(silent);
    silent.cancel();
    await fails(status.CANCELLED, end);
    await usable();
  },
};

async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not over within ${seconds} s`)), seconds * 1000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function main() {
  const chosen = Object.entries(CASES).filter(([name]) => !flags.test_case || flags.test_case === name);
  let failed = chosen.length === 0 ? 1 : 0;
  for (const [name, test] of chosen) {
    try {
      await within(60, test());
      console.log(`PASS ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${String(error.message).split('\n').join(' ')}`);
    }
  }
  console.log(`${chosen.length - failed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

main();
