'use strict';
// azure-iot-device uploads files over HTTPS, whatever its own transport; azure-iothub is told of them over AMQP.

const assert = require('assert');
const crypto = require('crypto');
const { Readable } = require('stream');
const { Client: DeviceClient } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const iothub = require('azure-iothub');
const { BlobServiceClient } = require('@azure/storage-blob');
const { transport, SERVICE, DEVICE, ID, eventually, main } = require('./common');

main(90, async () => {
  const device = DeviceClient.fromConnectionString(DEVICE, transport(mqtt, 'Mqtt'));
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
    // The first of the large file is given back, and comes again.
    const settle = told.blobSizeInBytes > 1e6 && before === 0 ? 'abandon' : 'complete';
    receiver[settle](m, (err) => {
      if (err) {
        console.log('FAILED:', settle, err);
        process.exit(1);
      }
    });
  });

  const account = BlobServiceClient.fromConnectionString(process.env.AZURE_STORAGE_CONNECTION_STRING);
  for (const size of [10 * 1024, 5 * 1024 * 1024]) {
    const content = crypto.randomBytes(size);
    const name = `files/${size}.bin`;
    await device.uploadToBlob(name, Readable.from([content]), size);
    const told = await eventually(() => seen.find((s) => s.blobName === `${ID}/${name}`), `told of ${size} bytes`);
    assert.strictEqual(told.deviceId, ID);
    assert.strictEqual(told.blobSizeInBytes, size);
    const blob = account.getContainerClient('uploads').getBlobClient(told.blobName);
    assert.ok(told.blobUri.endsWith(`/uploads/${ID}/${name}`), told.blobUri);
    assert.ok(content.equals(await blob.downloadToBuffer()), 'the content is the same');
  }
  await eventually(() => seen.length === 3, 'the notification that was given back came again');

  // By the two calls that the programs of the documentation make.
  const place = await device.getBlobSharedAccessSignature('by hand.txt');
  assert.strictEqual(place.blobName, `${ID}/by hand.txt`);
  await device.notifyBlobUploadStatus(place.correlationId, false, 500, 'never written');
  await service.close();
});
