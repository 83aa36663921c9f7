import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import java.io.ByteArrayInputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.utility.DockerImageName;

/** Hubnerite in a container for the time of a test: a device and a back end, both of Microsoft's SDKs, talk to each other. */
final class Example {
    private Example() {
    }

    public static void main(String[] args) throws Exception {
        Path trust = Files.createTempFile("hubnerite", ".p12");
        try (GenericContainer<?> emulator = new GenericContainer<>(DockerImageName.parse("hubnerite:dev"))) {
            // The Java device SDK wants a dot in the name of a hub, so localhost would not do.
            emulator.withEnv("HUBNERITE_HOSTNAME", "127.0.0.1").withEnv("HUBNERITE_IN_MEMORY", "true").withEnv("HUBNERITE_DEVICE", "d1")
                .withExposedPorts(8883, 5671, 443, 8484)
                .waitingFor(Wait.forHttp("/health").forPort(8484));
            // The SDKs dial 8883, 5671 and 443, so these ports have their own numbers; the management API has any free one.
            emulator.setPortBindings(List.of("8883:8883", "5671:5671", "443:443"));
            emulator.start();
            String admin = "http://" + emulator.getHost() + ":" + emulator.getMappedPort(8484);

            // Java reads these properties when it first needs them. They replace the usual roots for the whole program.
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            store.setCertificateEntry("hubnerite",
                CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(ask(admin + "/ca.pem").getBytes(StandardCharsets.UTF_8))));
            try (OutputStream file = Files.newOutputStream(trust)) {
                store.store(file, "changeit".toCharArray());
            }
            System.setProperty("javax.net.ssl.trustStore", trust.toString());
            System.setProperty("javax.net.ssl.trustStorePassword", "changeit");

            String info = ask(admin + "/info");
            CompletableFuture<String> received = new CompletableFuture<>();
            DeviceClient device = new DeviceClient(member(info, "d1"), IotHubClientProtocol.MQTT);
            device.setMessageCallback((message, context) -> {
                received.complete(new String(message.getBytes(), StandardCharsets.UTF_8));
                return IotHubMessageResult.COMPLETE;
            }, null);
            device.open(true);
            var reading = new com.microsoft.azure.sdk.iot.device.Message("{\"temperature\": 21.5}");
            reading.setContentType("application/json");
            reading.setContentEncoding("utf-8");
            device.sendEvent(reading);

            // The test waits for what the device sent: no Event Hubs client, no sleep.
            String found = ask(admin + "/messages/wait?timeout=50s&device=d1&body=" + URLEncoder.encode("$.temperature=21.5", StandardCharsets.UTF_8));
            if (!found.contains("21.5")) {
                throw new AssertionError("no telemetry: " + found);
            }
            System.out.println("telemetry: " + member(found, "body"));

            MessagingClient backend = new MessagingClient(member(info, "iothubowner"), IotHubServiceClientProtocol.AMQPS);
            backend.open();
            backend.send("d1", new com.microsoft.azure.sdk.iot.service.messaging.Message("hello"));
            System.out.println("message: " + received.get(60, TimeUnit.SECONDS));
            backend.close();
            device.close();
        } finally {
            Files.delete(trust);
        }
        System.out.println("done");
    }

    private static String ask(String address) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address)).timeout(Duration.ofSeconds(60)).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException(address + ": " + answer.statusCode());
        }
        return answer.body();
    }

    /** The first text of this name in a JSON document; a program of yours has a library for that. */
    private static String member(String json, String name) {
        var found = Pattern.compile("\"" + name + "\":\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(json);
        if (!found.find()) {
            throw new IllegalStateException("no " + name + " in " + json);
        }
        return found.group(1).replace("\\\"", "\"");
    }
}
