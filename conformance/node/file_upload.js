'use strict';
// azure-iot-device uploads files of SIZES bytes over HTTPS, whatever its own transport, which is TRANSPORT or each in turn;
// azure-iothub is told of them over AMQP.

const assert = require('assert');
const crypto = require('crypto');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const iothub = require('azure-iothub');
const { BlobServiceClient } = require('@azure/storage-blob');
const { transport, cell, SERVICE, DEVICE, ID, eventually, main } = require('./common');
const { deviceTransport, newDevice } = require('./transports');

const EACH = process.env.WEBSOCKETS ? ['mqtt', 'amqp'] : ['mqtt', 'amqp', 'http'];
const NAMES = process.env.TRANSPORT ? [process.env.TRANSPORT] : EACH;
const FEATURES = new Map([[10 << 10, 'upload-10k'], [5 << 20, 'upload-5m'], [250 << 20, 'upload-250m']]);
const SIZES = process.env.SIZES ? JSON.parse(process.env.SIZES) : [10 << 10, 5 << 20];

/** A file of the size, never whole in memory; its hash is known when it has been read. */
function file(size) {
  const hash = crypto.createHash('sha1');
  const block = crypto.randomBytes(Math.min(size, 1 << 20));
  function* pieces() {
    for (let at = 0; at < size; at += block.length) {
      const piece = Buffer.from(block.subarray(0, size - at));
      piece.writeUInt32BE(at); // no two are the same
      hash.update(piece);
      yield piece;
    }
  }
  return { stream: Readable.from(pieces()), hash };
}

main(280, async () => {
  const service = iothub.Client.fromConnectionString(SERVICE, transport(iothub, 'Amqp'));
  await service.open();
  const seen = [];
  const receiver = await new Promise((resolve, reject) => {
    service.getFileNotificationReceiver((err, made) => (err ? reject(err) : resolve(made)));
  });
  receiver.on('message', (m) => {
    const told = JSON.parse(m.getData().toString());
    const before = seen.filter((s) => s.blobName === told.blobName).length;
    seen.push(told);
    // The first of a large file is given back, and comes again.
    const settle = told.blobSizeInBytes > 1e6 && before === 0 ? 'abandon' : 'complete';
    receiver[settle](m, (err) => {
      if (err) {
        console.log('FAILED:', settle, err);
        process.exit(1);
      }
    });
  });

  const container = BlobServiceClient.fromConnectionString(process.env.AZURE_STORAGE_CONNECTION_STRING).getContainerClient('uploads');
  for (const kind of NAMES) {
    const id = `d-${kind}`;
    const device = DeviceClient.fromConnectionString(await newDevice(id), deviceTransport(kind));
    await device.open();
    await device.sendEvent(new Message('a file comes'));
    for (const size of SIZES) {
      const { stream, hash } = file(size);
      const name = `files/${size}.bin`;
      await device.uploadToBlob(name, stream, size);
      const ofThis = (s) => s.blobName === `${id}/${name}`;
      const told = await eventually(() => seen.find(ofThis), `${kind}: told of ${size} bytes`, 60);
      assert.strictEqual(told.deviceId, id);
      assert.strictEqual(told.blobSizeInBytes, size);
      assert.ok(told.blobUri.endsWith(`/uploads/${id}/${name}`), told.blobUri);
      const blob = container.getBlobClient(told.blobName);
      const stored = crypto.createHash('sha1');
      await pipeline((await blob.download()).readableStreamBody, stored);
      assert.strictEqual(stored.digest('hex'), hash.digest('hex'), 'the content is the same');
      if (size > 1e6) await eventually(() => seen.filter(ofThis).length === 2, 'the notification that was given back came again', 60);
      await blob.delete();
      cell(kind, FEATURES.get(size));
    }
    await device.close();
  }

  // By the two calls that the programs of the documentation make.
  const device = DeviceClient.fromConnectionString(DEVICE, deviceTransport('mqtt'));
  const place = await device.getBlobSharedAccessSignature('by hand.txt');
  assert.strictEqual(place.blobName, `${ID}/by hand.txt`);
  await device.notifyBlobUploadStatus(place.correlationId, false, 500, 'never written');
  await service.close();
});
