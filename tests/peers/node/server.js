// The test service with grpc-js. Prints "listening on 127.0.0.1:PORT" to stdout and serves until SIGTERM.
'use strict';

const fs = require('fs');
const { setTimeout: sleep } = require('timers/promises');
const service = require('./service.js');
const { grpc, testing } = service;

function echo(call) {
  const headers = new grpc.Metadata();
  service.split(call.metadata.get(service.INITIAL)).forEach((value) => headers.add(service.INITIAL, value));
  if (call.metadata.get(service.REPORT_DEADLINE).length > 0) {
    const left = Number(call.getDeadline()) - Date.now();
    headers.set(service.DEADLINE_LEFT, Number.isFinite(left) ? String(Math.floor(left)) : 'none');
  }
  call.sendMetadata(headers);
  const trailers = new grpc.Metadata();
  call.metadata.get(service.TRAILING).forEach((value) => trailers.add(service.TRAILING, value));
  return trailers;
}

// A google.rpc.Status begins with the same fields as an EchoStatus, which is field 7 of a SimpleRequest.
function statusOf(details) {
  const wrapped = Buffer.concat([Buffer.from([0x3a, details.length]), details]);
  return testing.TestService.service.UnaryCall.requestDeserialize(wrapped).response_status;
}

function unaryCall(call, callback) {
  const trailers = echo(call);
  const fail = ({ code, message }) => callback({ code, details: message, metadata: trailers });
  const [details] = call.metadata.get(service.DETAILS);
  if (details) {
    trailers.set('grpc-status-details-bin', details);
    return fail(statusOf(details));
  }
  const status = call.request.response_status;
  if (status && status.code !== 0) return fail(status);
  return callback(null, { payload: service.payload(call.request.response_size) }, trailers);
}

// Writes the requested responses. Returns false if the request asked for an error.
async function answer(call, request, trailers) {
  const status = request.response_status;
  if (status && status.code !== 0) {
    call.emit('error', { code: status.code, details: status.message, metadata: trailers });
    return false;
  }
  for (const wanted of request.response_parameters) {
    if (wanted.interval_us > 0) await sleep(wanted.interval_us / 1000);
    if (call.cancelled) return false;
    if (!call.write({ payload: service.payload(wanted.size) })) {
      await new Promise((resolve) => { call.once('drain', resolve); call.once('cancelled', resolve); });
    }
  }
  return true;
}

const handlers = {
  EmptyCall: (call, callback) => callback(null, {}, echo(call)),
  UnaryCall: unaryCall,
  StreamingOutputCall: async (call) => {
    const trailers = echo(call);
    if (await answer(call, call.request, trailers)) call.end(trailers);
  },
  StreamingInputCall: (call, callback) => {
    const trailers = echo(call);
    let count = 0;
    call.on('data', (request) => { count += request.payload ? request.payload.body.length : 0; });
    call.on('end', () => callback(null, { aggregated_payload_size: count }, trailers));
  },
  FullDuplexCall: (call) => {
    const trailers = echo(call);
    // One after the other, in the order of their arrival.
    let before = Promise.resolve(true);
    call.on('data', (request) => { before = before.then((open) => open && answer(call, request, trailers)); });
    call.on('end', () => before.then((open) => open && call.end(trailers)));
  },
};

const flags = service.flags();
const server = new grpc.Server(service.LIMITS);
server.addService(testing.TestService.service, handlers);
const credentials = flags.use_tls
  ? grpc.ServerCredentials.createSsl(null, [{
    cert_chain: fs.readFileSync(flags.tls_cert_file),
    private_key: fs.readFileSync(flags.tls_key_file),
  }])
  : grpc.ServerCredentials.createInsecure();
server.bindAsync(`127.0.0.1:${flags.port || 0}`, credentials, (error, port) => {
  if (error) throw error;
  console.log(`listening on 127.0.0.1:${port}`);
});
process.on('SIGTERM', () => { server.forceShutdown(); process.exit(0); });
