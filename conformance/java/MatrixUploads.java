import com.azure.core.util.Context;
import com.azure.storage.blob.BlobClient;
import com.azure.storage.blob.BlobClientBuilder;
import com.azure.storage.blob.models.BlobRange;
import com.azure.storage.blob.models.ParallelTransferOptions;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.FileUploadCompletionNotification;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriRequest;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriResponse;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.CheckedOutputStream;

/** Files that devices upload the way of the device SDK's sample, with the client for blobs. A device of each transport is connected meanwhile. */
final class MatrixUploads {
    private static final Map<String, Integer> SIZES = new LinkedHashMap<>();
    private static final Map<String, JsonObject> NOTIFICATIONS = new HashMap<>();

    static {
        SIZES.put("upload-10k", 10 << 10);
        SIZES.put("upload-5m", 5 << 20);
        SIZES.put("upload-250m", 250 << 20);
    }

    private MatrixUploads() {
    }

    public static void main(String[] args) {
        Check.main(280, () -> {
            Path folder = Path.of(System.getenv("UPLOADS"));
            String[] transports = System.getenv("TRANSPORTS").split(" ");
            for (Map.Entry<String, Integer> size : SIZES.entrySet()) {
                Path file = folder.resolve(size.getKey());
                long sum = write(file, size.getValue());
                for (String transport : transports) {
                    upload(transport, size.getKey(), file, sum, transport.equals(transports[0]));
                }
                Files.delete(file);
            }
        });
    }

    /** Writes a file in which no part is like another, and returns its checksum. */
    private static long write(Path file, int size) throws Exception {
        CRC32 sum = new CRC32();
        byte[] some = new byte[10 << 10];
        new Random(size).nextBytes(some);
        try (OutputStream out = Files.newOutputStream(file)) {
            for (int written = 0; written < size; written += some.length) {
                ByteBuffer.wrap(some).putInt(written);
                sum.update(some);
                out.write(some);
            }
        }
        return sum.getValue();
    }

    private static void upload(String transport, String feature, Path file, long sum, boolean first) throws Exception {
        String device = "uploads-over-" + transport;
        String connectionString = feature.equals("upload-10k") ? Back.register(device, null) : Back.connectionString(device);
        DeviceClient client = new DeviceClient(connectionString, Matrix.protocol(transport), Matrix.options().receiveInterval(1000).build());
        client.open(true);
        try {
            FileUploadSasUriResponse place = client.getFileUploadSasUri(new FileUploadSasUriRequest("folder/" + feature + ".bin"));
            BlobClient blob = new BlobClientBuilder().endpoint(place.getBlobUri().toString()).buildClient();
            // In one request, as is the default up to 256 MB, or in blocks.
            ParallelTransferOptions options = new ParallelTransferOptions();
            if (transport.endsWith("-ws")) {
                options.setBlockSizeLong(4L << 20).setMaxSingleUploadSizeLong(4L << 20).setMaxConcurrency(2);
            }
            blob.uploadFromFile(file.toString(), options, null, null, null, null, null);
            client.completeFileUpload(new FileUploadCompletionNotification(place.getCorrelationId(), true, 201, "done"));
            Check.refused("the end of an upload that is over", IotHubClientException.class, e -> e.getStatusCode().name().equals("BAD_FORMAT"),
                () -> client.completeFileUpload(new FileUploadCompletionNotification(place.getCorrelationId(), true, 201, "again")));

            if (feature.equals("upload-250m") && !first) {
                parts(blob, file); // all of it came back once already
            } else {
                Check.equal(stored(blob), sum, feature + " over " + transport + ": what is stored");
            }
            String name = device + "/folder/" + feature + ".bin";
            Check.eventually("the back end hears of " + name, 60, () -> notification(name) != null);
            Check.equal(notification(name).get("blobSizeInBytes").getAsLong(), (long) SIZES.get(feature), "its size");
        } finally {
            client.close();
        }
        Check.cell(transport, feature);
    }

    /** The checksum of all that is stored. */
    private static long stored(BlobClient blob) {
        CheckedOutputStream seen = new CheckedOutputStream(OutputStream.nullOutputStream(), new CRC32());
        blob.downloadStreamWithResponse(seen, null, null, null, false, null, Context.NONE);
        return seen.getChecksum().getValue();
    }

    /** The beginning, the middle and the end of what is stored are those of the file. */
    private static void parts(BlobClient blob, Path file) throws Exception {
        try (RandomAccessFile sent = new RandomAccessFile(file.toFile(), "r")) {
            for (long at : new long[] {0, sent.length() / 2, sent.length() - (1 << 20)}) {
                byte[] want = new byte[1 << 20];
                sent.seek(at);
                sent.readFully(want);
                ByteArrayOutputStream got = new ByteArrayOutputStream();
                blob.downloadStreamWithResponse(got, new BlobRange(at, (long) want.length), null, null, false, null, Context.NONE);
                Check.check(Arrays.equals(got.toByteArray(), want), "a part of what is stored");
            }
        }
    }

    private static JsonObject notification(String blob) throws Exception {
        while (!NOTIFICATIONS.containsKey(blob)) {
            Back.Answer answer = Back.call("GET", "/messages/serviceBound/filenotifications", null);
            if (answer.status() != 200) {
                return null;
            }
            JsonElement body = answer.body();
            NOTIFICATIONS.put(body.getAsJsonObject().get("blobName").getAsString(), body.getAsJsonObject());
            Back.must("DELETE", "/messages/serviceBound/filenotifications/" + answer.etag().replace("\"", ""), null);
        }
        return NOTIFICATIONS.get(blob);
    }
}
