import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubDeviceMaximumQueueDepthExceededException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;

/** Fault rules as the Java SDKs meet them: a device over AMQP and a back end. What the SDK shows is checked, and that nothing that was acknowledged is lost. */
final class FaultRules {
    private static final String ID = Check.field(System.getenv("IOTHUB_DEVICE_CONNECTION_STRING"), "DeviceId");
    private static final int SECONDS_60 = 60_000;

    private FaultRules() {
    }

    public static void main(String[] args) {
        Check.main(170, () -> {
            device();
            service();
        });
    }

    /** A rule that hits once, unless it is told otherwise; the one before is removed. */
    private static String rule(String operation, String action, Object... more) throws Exception {
        Back.admin("DELETE", "/faults", null);
        JsonObject body = Back.object("operation", operation, "action", action, "count", 1);
        Back.object(more).entrySet().forEach(e -> body.add(e.getKey(), e.getValue()));
        return Back.admin("POST", "/faults", body).getAsJsonObject().get("id").getAsString();
    }

    private static int hits(String rule) throws Exception {
        return Back.admin("GET", "/faults/" + rule, null).getAsJsonObject().get("hits").getAsInt();
    }

    private static Object delay(int milliseconds) {
        return Back.object("value", milliseconds + "ms");
    }

    /** What the program returns, which it must not do before so many milliseconds. */
    private static <T> T notBefore(int milliseconds, String claim, Callable<T> program) throws Exception {
        long began = System.nanoTime();
        T value = program.call();
        long took = (System.nanoTime() - began) / 1_000_000;
        Check.check(took >= milliseconds, claim, took);
        return value;
    }

    private static long count(String body) throws Exception {
        return Back.keptBodies(ID).stream().filter(body::equals).count();
    }

    private static DeviceClient open(boolean retry) throws Exception {
        DeviceClient client = new DeviceClient(System.getenv("IOTHUB_DEVICE_CONNECTION_STRING"), IotHubClientProtocol.AMQPS);
        if (!retry) {
            client.setRetryPolicy(new NoRetry());
        }
        client.open(false);
        return client;
    }

    private static void send(DeviceClient client, String body) throws Exception {
        client.sendEvent(new Message(body), SECONDS_60);
    }

    private static void device() throws Exception {
        // Over AMQP this SDK does not compare the name in the certificate.
        for (String kind : List.of("untrusted", "expired")) {
            String bad = rule("handshake", "certificate", "certificate", kind, "protocols", List.of("amqp"));
            Check.refused("a certificate that is " + kind, IotHubClientException.class, e -> true, () -> open(false));
            Check.equal(hits(bad), 1, "by the rule");
        }
        rule("connect", "refuse", "code", "IotHubUnauthorizedAccess");
        Check.refused("a connection that is refused", IotHubClientException.class, e -> e.getStatusCode() == IotHubStatusCode.UNAUTHORIZED, () -> open(false));
        rule("connect", "delay", "delay", delay(300));
        DeviceClient once = notBefore(300, "a slow connection", () -> open(false));
        rule("telemetry", "refuse", "code", "ThrottlingException");
        Check.refused("telemetry that is throttled", IotHubClientException.class, e -> e.getStatusCode() == IotHubStatusCode.THROTTLED, () -> send(once, "throttled"));
        Check.equal(count("throttled"), 0L, "is not kept");
        rule("telemetry", "duplicate");
        send(once, "twice");
        Check.equal(count("twice"), 2L, "telemetry twice");
        rule("telemetry", "delay", "delay", delay(300));
        notBefore(300, "slow telemetry", () -> {
            send(once, "slow");
            return null;
        });
        Check.equal(count("slow"), 1L, "arrives once");
        once.close();

        DeviceClient client = open(true);
        List<String> received = new CopyOnWriteArrayList<>();
        List<String> calls = new CopyOnWriteArrayList<>();
        client.setMessageCallback((message, context) -> {
            received.add(new String(message.getBytes(), Message.DEFAULT_IOTHUB_MESSAGE_CHARSET));
            return IotHubMessageResult.COMPLETE;
        }, null);
        client.subscribeToMethods((name, payload, context) -> {
            calls.add(name);
            return new DirectMethodResponse(200, name);
        }, null);
        String throttled = rule("telemetry", "refuse", "code", "ThrottlingException");
        send(client, "sent again");
        Check.equal(hits(throttled), 1, "the SDK sends again what is throttled");
        Check.equal(count("sent again"), 1L, "and it is kept");

        MessagingClient back = new MessagingClient(Check.SERVICE, IotHubServiceClientProtocol.AMQPS);
        back.open();
        rule("c2d", "delay", "delay", delay(300));
        notBefore(300, "a late message from the cloud", () -> {
            back.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("late"));
            Check.eventually("it comes", 60, () -> received.contains("late"));
            return null;
        });
        rule("c2d", "duplicate");
        back.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("two"));
        Check.eventually("a message twice", 60, () -> received.stream().filter("two"::equals).count() == 2);
        back.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("end"));
        Check.eventually("the next one once", 60, () -> received.contains("end"));
        Check.equal(received, List.of("late", "two", "two", "end"), "in order");
        Check.eventually("none of them waits any more", 60, () -> Back.waiting(ID) == 0);

        DirectMethodsClient methods = new DirectMethodsClient(Check.SERVICE);
        DirectMethodRequestOptions patient = DirectMethodRequestOptions.builder().methodConnectTimeoutSeconds(30).methodResponseTimeoutSeconds(60).build();
        rule("method", "duplicate");
        Check.equal(methods.invoke(ID, "again", patient).getStatus(), 200, "a method twice");
        Check.eventually("the device sees it twice", 60, () -> calls.size() == 2);
        rule("method", "delay", "delay", delay(300));
        notBefore(300, "a slow method", () -> methods.invoke(ID, "slow", patient));
        rule("method", "refuse", "code", "IotHubQuotaExceeded");
        Check.refused("a method that is refused", IotHubException.class, e -> true, () -> methods.invoke(ID, "refused", patient));
        Check.check(!calls.contains("refused"), "the device does not see it");

        // The connection is reset: the SDK comes back and loses nothing that it has told to be sent.
        String cut = rule("telemetry", "disconnect");
        List<String> sent = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            String body = "cut " + i;
            Check.eventually(body + " is acknowledged", 90, () -> {
                try {
                    client.sendEvent(new Message(body), 20_000);
                    return true;
                } catch (IotHubClientException | IllegalStateException e) {
                    System.out.println("not yet: " + e); // while the connection changes
                    return false;
                }
            });
            sent.add(body);
        }
        Check.equal(hits(cut), 1, "the connection was reset once");
        Check.check(Back.keptBodies(ID).containsAll(sent), "nothing acknowledged is lost", sent);
        client.close();
        back.close();
    }

    private static void service() throws Exception {
        RegistryClient registry = new RegistryClient(Check.SERVICE);
        rule("GET /devices/{deviceID}", "refuse", "code", "IotHubQuotaExceeded");
        Check.refused("a read of the registry", IotHubException.class, e -> true, () -> registry.getDevice(ID));
        rule("GET /devices/{deviceID}", "delay", "delay", delay(300));
        Check.equal(notBefore(300, "a slow read of the registry", () -> registry.getDevice(ID)).getDeviceId(), ID, "is right");

        MessagingClient client = new MessagingClient(Check.SERVICE, IotHubServiceClientProtocol.AMQPS);
        client.open();
        rule("c2d-send", "refuse", "code", "DeviceMaximumQueueDepthExceeded");
        Check.refused("a message to a device", IotHubDeviceMaximumQueueDepthExceededException.class, e -> true, () -> client.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("refused")));
        rule("c2d-send", "duplicate");
        client.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("stored twice"));
        Check.equal(Back.waiting(ID), 2, "a message that is stored twice");
        rule("c2d-send", "delay", "delay", delay(300));
        notBefore(300, "a slow message", () -> {
            client.send(ID, new com.microsoft.azure.sdk.iot.service.messaging.Message("slow"));
            return null;
        });
        client.close();
    }
}
