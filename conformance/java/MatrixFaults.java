import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.ConnectionStatusChangeContext;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.ExponentialBackoffWithJitter;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Each type of fault, asked for by a device of its own as Microsoft's tests of the SDKs do. */
final class MatrixFaults {
    /** How long after the request the fault comes, and how long one of the invoked lasts, in seconds. */
    private static final int DELAY = 1;
    private static final int DURATION = 8;

    private static final List<String> TYPES = List.of("KillTcp", "KillAmqpConnection", "KillAmqpSession", "KillAmqpCBSLinkReq", "KillAmqpCBSLinkResp",
        "KillAmqpD2CLink", "KillAmqpC2DLink", "KillAmqpTwinLinkReq", "KillAmqpTwinLinkResp", "KillAmqpMethodReqLink", "KillAmqpMethodRespLink",
        "ShutDownAmqp", "ShutDownMqtt", "InvokeThrottling", "InvokeMaxMessageQuota", "InvokeAuthError");

    /** What the SDK says of telemetry that an invoked fault refuses. */
    private static final Map<String, IotHubStatusCode> REFUSALS = Map.of("InvokeThrottling", IotHubStatusCode.THROTTLED,
        "InvokeMaxMessageQuota", Matrix.AMQP ? IotHubStatusCode.IO_ERROR : IotHubStatusCode.QUOTA_EXCEEDED, "InvokeAuthError", IotHubStatusCode.UNAUTHORIZED);

    private MatrixFaults() {
    }

    static void run() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(6);
        List<Future<?>> ends = new ArrayList<>();
        for (String type : TYPES) {
            ends.add(threads.submit(() -> {
                one(type);
                return null;
            }));
        }
        for (Future<?> end : ends) {
            end.get();
        }
        threads.shutdown();
    }

    private static void one(String type) throws Exception {
        String device = "fault-" + type;
        String connectionString = Back.register(device, null);
        if (type.startsWith("Invoke") && Matrix.MQTT) {
            invokedOnMQTT(device, connectionString, type);
            Matrix.pass(device);
            return;
        }
        try (Peer peer = new Peer(connectionString)) {
            if (type.startsWith("Invoke")) {
                invoked(device, peer, type);
            } else if (type.equals("KillTcp") && !Matrix.HTTP || type.contains("Amqp") && Matrix.AMQP || type.contains("Mqtt") && Matrix.MQTT) {
                ending(device, peer, type);
            } else {
                none(device, peer, type);
            }
        } catch (Exception | AssertionError e) {
            throw new AssertionError(device, e);
        }
        Matrix.pass(device);
    }

    private static Message request(String type) {
        Message message = new Message("please " + type);
        message.setExpiryTime(30_000);
        message.setProperty("AzIoTHub_FaultOperationType", type);
        message.setProperty("AzIoTHub_FaultOperationCloseReason", "boom");
        message.setProperty("AzIoTHub_FaultOperationDelayInSecs", String.valueOf(DELAY));
        if (type.startsWith("Invoke")) {
            message.setProperty("AzIoTHub_FaultOperationDurationInSecs", String.valueOf(DURATION));
        }
        return message;
    }

    /** A fault that ends something: the device comes back by itself and has everything as before. */
    private static void ending(String device, Peer peer, String type) throws Exception {
        peer.listen();
        CountDownLatch asked = new CountDownLatch(1);
        peer.client.sendEventAsync(request(type), (message, failure, context) -> asked.countDown(), null);
        for (int i = 0; peer.losses() == 0; i++) {
            if (i > 600) {
                throw new AssertionError("nothing ended: " + peer.changes.size());
            }
            peer.risk("meanwhile " + i);
            Thread.sleep(100);
        }
        peer.risk("afterwards");
        MatrixConnection.arrived(device, peer.delivered("telemetry around " + type));
        Check.check(asked.await(90, TimeUnit.SECONDS), "the request is answered: " + type);
        Check.check(!Back.keptBodies(device).contains("please " + type), "what asks for " + type + " is not kept");
        Back.c2d(device, "after " + type, "m-" + device, new JsonObject());
        Check.eventually("a message from the cloud after " + type, 60, () -> peer.got("after " + type));
        Check.eventually("a method after " + type, 60, () -> Back.invoke(device, "echo", Back.object("a", 1), 10).status() == 200);
        peer.report("after", type);
        Check.equal(Back.reported(device, "after").getAsString(), type, "a report after " + type);
        Back.desire(device, Back.object("after", type));
        Check.eventually("a desired change after " + type, 60, () -> peer.desired.stream().anyMatch(d -> type.equals(d.get("after"))));
        Check.check(peer.connected(), "connected after " + type);
        tell(peer, type);
    }

    /** A type that the protocol does not have is telemetry like any other. */
    private static void none(String device, Peer peer, String type) throws Exception {
        peer.client.sendEvent(request(type));
        // Longer than the delay.
        Thread.sleep((DELAY + 1) * 1000L);
        peer.client.sendEvent(new Message("afterwards"));
        Check.equal(Back.keptBodies(device), List.of("please " + type, "afterwards"), type + " is telemetry");
        Check.equal(peer.losses(), 0L, "and nothing ends");
    }

    /** A fault that makes the hub refuse telemetry, which the SDK tells who does not want it repeated. */
    private static void invoked(String device, Peer peer, String type) throws Exception {
        long begun = System.nanoTime();
        peer.client.setRetryPolicy(new NoRetry());
        if (Matrix.HTTP) {
            Check.refused("the request itself: " + type, IotHubClientException.class, e -> e.getStatusCode() == REFUSALS.get(type),
                () -> peer.client.sendEvent(request(type)));
        } else {
            peer.client.sendEvent(request(type));
        }
        List<String> accepted = new ArrayList<>();
        List<IotHubStatusCode> refused = new ArrayList<>();
        Check.eventually("an end of " + type, 90, () -> {
            try {
                String body = "try " + (accepted.size() + refused.size());
                peer.client.sendEvent(new Message(body), 30_000);
                accepted.add(body);
                return !refused.isEmpty();
            } catch (IotHubClientException e) {
                refused.add(e.getStatusCode());
                Thread.sleep(150);
                return false;
            }
        });
        Check.check(System.nanoTime() - begun > DURATION * 1_000_000_000L, "not before its time: " + type);
        System.out.println("refused: " + type + " " + refused);
        Check.check(refused.stream().allMatch(code -> code == REFUSALS.get(type)), "refused with " + REFUSALS.get(type), refused);
        Check.equal(Back.keptBodies(device), accepted, "nothing of it is kept");
        peer.client.setRetryPolicy(new ExponentialBackoffWithJitter());
        tell(peer, type);
    }

    /**
     * Over MQTT the hub can only end the connection, again and again. The program makes the attempts, not the SDK: when a connection
     * ends in the moment in which the SDK calls it open, it stays open for the SDK for ever.
     */
    private static void invokedOnMQTT(String device, String connectionString, String type) throws Exception {
        long begun = System.nanoTime();
        try (Peer asking = Peer.once(connectionString)) {
            asking.client.sendEventAsync(request(type), (message, failure, context) -> { }, null);
            Check.eventually(type + " ends the connection", 60, () -> asking.losses() > 0);
        }
        List<String> refused = new ArrayList<>();
        Check.eventually("an end of " + type, 90, () -> {
            try (Peer peer = Peer.once(connectionString)) {
                if (peer.accepts("afterwards")) {
                    return true;
                }
                refused.add("message");
            } catch (IotHubClientException e) {
                refused.add(e.getStatusCode().name());
            }
            Thread.sleep(200);
            return false;
        });
        Check.check(System.nanoTime() - begun > DURATION * 1_000_000_000L, "not before its time: " + type);
        System.out.println("refused: " + type + " " + refused);
        String want = switch (type) {
            case "InvokeMaxMessageQuota" -> "message";
            case "InvokeThrottling" -> IotHubStatusCode.SERVER_BUSY.name(); // for the SDK that is what CONNACK 3 means
            default -> REFUSALS.get(type).name();
        };
        // Over WebSockets the SDK now and then sees the end of the connection before it reads why.
        List<String> told = refused.stream().filter(how -> !Matrix.WEB_SOCKET || !how.equals(IotHubStatusCode.IO_ERROR.name())).toList();
        Check.check(!told.isEmpty() && told.stream().allMatch(want::equals), "refused is " + want, refused);
        Check.equal(Back.keptBodies(device), List.of("afterwards"), "only what came after " + type + " is kept");
    }

    private static void tell(Peer peer, String type) {
        for (ConnectionStatusChangeContext c : peer.changes.subList(0, Math.min(4, peer.changes.size()))) {
            System.out.println("  " + type + ": " + c.getNewStatus() + " " + c.getNewStatusReason() + " " + c.getCause());
        }
    }
}
