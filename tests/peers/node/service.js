// The test service of gRPC's interop tests, read from proto/, with barewire's additions.
'use strict';

const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const options = { keepCase: true, longs: Number, defaults: true };
const definition = loader.loadSync('grpc/testing/test.proto', {
  ...options,
  includeDirs: [process.env.BAREWIRE_PROTO || path.join(__dirname, '../../../proto')],
});

module.exports = {
  grpc,
  testing: grpc.loadPackageDefinition(definition).grpc.testing,
  INITIAL: 'x-grpc-test-echo-initial',
  TRAILING: 'x-grpc-test-echo-trailing-bin',
  REPORT_DEADLINE: 'x-report-deadline',
  DEADLINE_LEFT: 'x-deadline-ms',
  DETAILS: 'x-echo-details-bin',
  // Larger than a message of 64 MiB.
  LIMITS: { 'grpc.max_receive_message_length': 80 << 20, 'grpc.max_send_message_length': -1 },
  // The flags --name VALUE and --name of a command line.
  flags() {
    const found = {};
    const words = process.argv.slice(2);
    while (words.length > 0) {
      const name = words.shift().replace(/^--?/, '');
      found[name] = words.length === 0 || words[0].startsWith('-') ? true : words.shift();
    }
    return found;
  },
  // Node joins the values of a repeated header; no value here contains a comma.
  split: (values) => values.flatMap((value) => value.split(', ')),
  payload: (size) => ({ type: 0, body: Buffer.alloc(size) }),
};
