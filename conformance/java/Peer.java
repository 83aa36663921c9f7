import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.ConnectionStatusChangeContext;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.MessageCallback;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A device or module of the matrix: the SDK's client, open, and what it was told. */
final class Peer implements AutoCloseable {
    final InternalClient client;
    /** How it goes with the connection, the opening included. */
    final List<ConnectionStatusChangeContext> changes = new CopyOnWriteArrayList<>();
    final List<Message> messages = new CopyOnWriteArrayList<>();
    /** The desired changes, as JSON text. */
    final List<TwinCollection> desired = new CopyOnWriteArrayList<>();
    private static final int TWIN_MILLISECONDS = 4000;
    private final List<Sent> sent = new ArrayList<>();

    /** What becomes of a message that was sent. */
    private record Sent(String body, CountDownLatch done, IotHubClientException[] failure) {
        boolean failed(String claim) throws InterruptedException {
            if (!done.await(90, TimeUnit.SECONDS)) {
                throw new AssertionError(claim + ": no answer to " + body);
            }
            return failure[0] != null;
        }
    }

    /** A peer that completes every message. */
    Peer(String connectionString) throws Exception {
        this(connectionString, Matrix.options().build(), null);
    }

    Peer(String connectionString, ClientOptions options, MessageCallback callback) throws Exception {
        this(connectionString, options, callback, client -> { }, true);
    }

    /** One that is prepared before it opens. */
    Peer(String connectionString, ClientOptions options, MessageCallback callback, Consumer<InternalClient> prepare) throws Exception {
        this(connectionString, options, callback, prepare, true);
    }

    /** One that does not come back by itself, and repeats nothing. */
    static Peer once(String connectionString) throws Exception {
        return new Peer(connectionString, Matrix.options().build(), null, client -> client.setRetryPolicy(new NoRetry()), false);
    }

    private Peer(String connectionString, ClientOptions options, MessageCallback callback, Consumer<InternalClient> prepare, boolean retry) throws Exception {
        MessageCallback taking = (message, context) -> {
            messages.add(message);
            return callback == null ? IotHubMessageResult.COMPLETE : callback.onCloudToDeviceMessageReceived(message, context);
        };
        if (connectionString.contains(";ModuleId=")) {
            client = new ModuleClient(connectionString, Matrix.PROTOCOL, options).setMessageCallback(taking, null);
        } else {
            client = new DeviceClient(connectionString, Matrix.PROTOCOL, options).setMessageCallback(taking, null);
        }
        client.setConnectionStatusChangeCallback((change) -> changes.add(change), null);
        prepare.accept(client);
        try {
            client.open(retry);
        } catch (IotHubClientException e) {
            client.close();
            throw e;
        }
    }

    static String text(Message message) {
        return new String(message.getBytes(), Message.DEFAULT_IOTHUB_MESSAGE_CHARSET);
    }

    boolean got(String body) {
        return messages.stream().anyMatch(m -> text(m).equals(body));
    }

    /** Sends without waiting. */
    void begin(Message message) {
        Sent one = new Sent(text(message), new CountDownLatch(1), new IotHubClientException[1]);
        sent.add(one);
        send(one, message);
    }

    private void send(Sent one, Message message) {
        client.sendEventAsync(message, (m, failure, context) -> {
            one.failure[0] = failure;
            one.done.countDown();
        }, null);
    }

    void begin(String body) {
        begin(new Message(body));
    }

    /** Sends without waiting while the connection may end, when the SDK forgets a message now and then: it must not wait for it for ever. */
    void risk(String body) {
        begin(expiring(body));
    }

    /** Waits until everything that was begun is acknowledged, and returns the bodies. */
    List<String> acknowledged(String claim) throws Exception {
        for (Sent one : sent) {
            if (one.failed(claim)) {
                throw new AssertionError(claim + ": " + one.body, one.failure[0]);
            }
        }
        System.out.println("ok: " + claim + ": " + sent.size() + " acknowledged");
        return sent.stream().map(Sent::body).toList();
    }

    /** The same, where what the SDK gives up is sent again, as a program has to. */
    List<String> delivered(String claim) throws Exception {
        int again = 0;
        for (Sent one : sent) {
            while (one.failed(claim)) {
                if (++again > 2 * sent.size()) {
                    throw new AssertionError(claim + ": " + one.body, one.failure[0]);
                }
                one = new Sent(one.body, new CountDownLatch(1), new IotHubClientException[1]);
                send(one, expiring(one.body));
            }
        }
        System.out.println("ok: " + claim + ": " + sent.size() + " delivered, " + again + " times sent again");
        return sent.stream().map(Sent::body).toList();
    }

    private static Message expiring(String body) {
        Message message = new Message(body);
        message.setExpiryTime(20_000);
        return message;
    }

    /** Answers every method call with the payload that came, and listens for desired changes. */
    void listen() throws Exception {
        client.subscribeToMethods((name, payload, context) -> new DirectMethodResponse(200, payload.getPayloadAsJsonElement()), null);
        client.subscribeToDesiredProperties((twin, context) -> desired.add(twin.getDesiredProperties()), null);
    }

    void report(String name, Object value) throws Exception {
        TwinCollection report = new TwinCollection();
        report.put(name, value);
        report(report);
    }

    /** Reports, and returns the new version. */
    int report(TwinCollection report) throws Exception {
        return repeated(() -> client.updateReportedProperties(report, TWIN_MILLISECONDS)).getVersion();
    }

    Twin twin() throws Exception {
        return repeated(() -> client.getTwin(TWIN_MILLISECONDS));
    }

    /**
     * The SDK loses the answer to a twin request now and then: one of its threads takes the answer and forgets the request before the
     * other, which received it, has looked up whom to tell.
     */
    private static <T> T repeated(Callable<T> request) throws Exception {
        for (int attempt = 1;; attempt++) {
            try {
                return request.call();
            } catch (IotHubClientException e) {
                if (e.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT || attempt == 15) {
                    throw e;
                }
                System.out.println("a twin request is repeated");
            }
        }
    }

    /** How often it has lost its connection. */
    long losses() {
        return changes.stream().filter(c -> c.getNewStatus() != IotHubConnectionStatus.CONNECTED).count();
    }

    /** Sends and waits; false when it failed, and then the client is of no use any more. */
    boolean accepts(String body) throws Exception {
        try {
            client.sendEvent(new Message(body), 10_000);
            return true;
        } catch (IotHubClientException | IllegalStateException e) {
            return false;
        }
    }

    boolean connected() {
        return !changes.isEmpty() && changes.get(changes.size() - 1).getNewStatus() == IotHubConnectionStatus.CONNECTED;
    }

    @Override
    public void close() {
        client.close();
    }
}
