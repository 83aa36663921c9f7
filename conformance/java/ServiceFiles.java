import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.FileUploadCompletionNotification;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriRequest;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriResponse;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotification;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotificationProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryJob;
import com.microsoft.azure.sdk.iot.service.registry.StorageAuthenticationType;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** FileUploadNotificationProcessorClient, and RegistryClient's export and import by way of a blob container. */
final class ServiceFiles {
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private ServiceFiles() {
    }

    static void run() throws Exception {
        String key = REGISTRY.addDevice(new Device("files")).getPrimaryKey();
        for (IotHubServiceClientProtocol protocol : IotHubServiceClientProtocol.values()) {
            upload(protocol, Service.connectionString("files", null, key));
        }
        REGISTRY.removeDevice("files");
        jobs();
    }

    private static void upload(IotHubServiceClientProtocol protocol, String connectionString) throws Exception {
        List<FileUploadNotification> notifications = new CopyOnWriteArrayList<>();
        FileUploadNotificationProcessorClient processor = new FileUploadNotificationProcessorClient(Check.SERVICE, protocol, notification -> {
            notifications.add(notification);
            return notifications.size() == 1 ? AcknowledgementType.ABANDON : AcknowledgementType.COMPLETE;
        });
        processor.start();
        Check.check(processor.isRunning(), "a processor of file notifications over " + protocol);
        DeviceClient device = new DeviceClient(connectionString, IotHubClientProtocol.MQTT);
        device.open(false);
        byte[] content = ("uploaded over " + protocol).getBytes(StandardCharsets.UTF_8);
        FileUploadSasUriResponse place = device.getFileUploadSasUri(new FileUploadSasUriRequest("logs/" + protocol + ".txt"));
        Check.equal(put(place.getBlobUri(), content), 201, "a file over " + protocol);
        device.completeFileUpload(new FileUploadCompletionNotification(place.getCorrelationId(), true, 201, "done"));
        Check.eventually("the notification that was given back comes again", () -> notifications.size() == 2);
        for (FileUploadNotification n : notifications) {
            Check.equal(List.of(n.getDeviceId(), n.getBlobName(), n.getBlobSizeInBytes()),
                List.of("files", "files/logs/" + protocol + ".txt", (long) content.length), "what it says");
            Check.check(n.getBlobUri().endsWith("/uploads/" + n.getBlobName()) && n.getEnqueuedTimeUtcDate() != null && n.getLastUpdatedTimeDate() != null,
                "where and when", n.getBlobUri());
        }
        device.close();
        processor.stop();
        Check.check(!processor.isRunning(), "stopped");
    }

    private static void jobs() throws Exception {
        for (String id : List.of("exported-1", "exported-2")) {
            REGISTRY.addDevice(new Device(id));
        }
        String container = containerUri("racwdl", false);
        RegistryJob job = finished(REGISTRY.exportDevices(container, false));
        Check.equal(List.of(job.getType().name().toLowerCase(), job.getProgress()), List.of("export", 100), "an export");
        Map<String, JsonObject> lines = exported();
        Check.equal(lines.get("exported-1").getAsJsonObject("authentication").getAsJsonObject("symmetricKey").get("primaryKey").getAsString(),
            REGISTRY.getDevice("exported-1").getPrimaryKey(), "with keys");
        finished(REGISTRY.exportDevices(RegistryJob.createForExportJob(container, true, StorageAuthenticationType.KEY)));
        Check.check(!exported().get("exported-1").toString().contains(REGISTRY.getDevice("exported-1").getPrimaryKey()), "without keys");

        String input = """
            {"id":"exported-1","importMode":"delete","status":"enabled"}
            {"id":"imported","importMode":"create","status":"disabled","authentication":{"type":"sas"}}
            """;
        Check.equal(put(blob("devices.txt"), input.getBytes(StandardCharsets.UTF_8)), 201, "a list of devices");
        job = finished(REGISTRY.importDevices(container, container));
        Check.equal(job.getType().name().toLowerCase(), "import", "an import");
        Check.equal(REGISTRY.getDevice("imported").getStatus().name(), "Disabled", "an imported device");
        Service.refused("a device that the import removed", IotHubNotFoundException.class, 404001, () -> REGISTRY.getDevice("exported-1"));
        Check.equal(put(blob("devices.txt"), "{\"id\":\"imported\",\"importMode\":\"delete\",\"status\":\"enabled\"}".getBytes(StandardCharsets.UTF_8)), 201, "another list");
        finished(REGISTRY.importDevices(RegistryJob.createForImportJob(container, container, StorageAuthenticationType.KEY)));
        Service.refused("gone again", IotHubNotFoundException.class, 404001, () -> REGISTRY.getDevice("imported"));

        Service.refused("a job that is not there", IotHubNotFoundException.class, 0, () -> REGISTRY.getJob("nobody"));
        Service.refused("a container that does not let in", IotHubBadFormatException.class, 0, () -> REGISTRY.exportDevices(containerUri("racwdl", true), false));
        Service.refused("a managed identity", IotHubBadFormatException.class, 0,
            () -> REGISTRY.exportDevices(RegistryJob.createForExportJob(container, true, StorageAuthenticationType.IDENTITY)));
        REGISTRY.removeDevice("exported-2");
    }

    private static RegistryJob finished(RegistryJob started) throws Exception {
        RegistryJob[] job = {started};
        Check.eventually("a job of the registry ends", () -> {
            job[0] = REGISTRY.getJob(started.getJobId());
            return job[0].getStatus() == RegistryJob.JobStatus.COMPLETED;
        });
        return job[0];
    }

    private static Map<String, JsonObject> exported() throws Exception {
        String text = HTTP.send(HttpRequest.newBuilder(blob("devices.txt")).build(), HttpResponse.BodyHandlers.ofString()).body();
        return text.lines().filter(line -> line.startsWith("{")).map(line -> JsonParser.parseString(line).getAsJsonObject()).filter(o -> !o.has("moduleId"))
            .collect(Collectors.toMap(o -> o.get("id").getAsString(), o -> o));
    }

    private static int put(URI blob, byte[] content) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(blob).header("x-ms-blob-type", "BlockBlob").PUT(HttpRequest.BodyPublishers.ofByteArray(content)).build();
        return HTTP.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
    }

    private static URI blob(String name) throws Exception {
        return URI.create(containerUri("racwdl", false).replace("?", "/" + name + "?"));
    }

    /** The container with a signature for it, as the documentation of storage accounts says. */
    private static String containerUri(String permissions, boolean wrong) throws Exception {
        String account = System.getenv("AZURE_STORAGE_CONNECTION_STRING");
        String expiry = Instant.now().plusSeconds(3600).truncatedTo(ChronoUnit.SECONDS).toString();
        String resource = "/blob/" + Check.field(account, "AccountName") + "/uploads";
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(Check.field(account, "AccountKey")), "HmacSHA256"));
        String text = String.join("\n", permissions, "", expiry, resource, "", "", "", "2018-11-09", "c", "", "", "", "", "", "");
        byte[] signature = mac.doFinal((wrong ? text + "wrong" : text).getBytes(StandardCharsets.UTF_8));
        return Check.field(account, "BlobEndpoint") + "/uploads?sv=2018-11-09&sr=c&sp=" + permissions + "&se=" + URLEncoder.encode(expiry, StandardCharsets.UTF_8)
            + "&sig=" + URLEncoder.encode(Base64.getEncoder().encodeToString(signature), StandardCharsets.UTF_8);
    }
}
