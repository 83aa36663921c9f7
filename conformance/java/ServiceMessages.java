import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubDeviceMaximumQueueDepthExceededException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubMessageTooLargeException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubUnauthorizedException;
import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.DeliveryAcknowledgement;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackBatch;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackRecord;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackStatusCode;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import com.microsoft.azure.sdk.iot.service.messaging.MessageFeedbackProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import com.microsoft.azure.sdk.iot.service.messaging.SendResult;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/** MessagingClient and MessageFeedbackProcessorClient, over AMQP and over WebSockets. */
final class ServiceMessages {
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);

    private ServiceMessages() {
    }

    /** What every processor was told, by device and message: each record comes to one of them. */
    private static final Map<String, FeedbackStatusCode> FEEDBACK = new ConcurrentHashMap<>();
    private static final AtomicBoolean GIVEN_BACK = new AtomicBoolean();

    /** Both protocols at the same time, for the hub waits for some seconds before it tells what became of messages. */
    static void run() throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<?>> ends = new ArrayList<>();
        for (IotHubServiceClientProtocol protocol : IotHubServiceClientProtocol.values()) {
            ends.add(threads.submit(() -> {
                over(protocol);
                return null;
            }));
        }
        for (Future<?> end : ends) {
            end.get();
        }
        threads.shutdown();
        refusals();
    }

    private static void over(IotHubServiceClientProtocol protocol) throws Exception {
        String id = "c2d-" + protocol;
        String key = REGISTRY.addDevice(new Device(id)).getPrimaryKey();
        String moduleKey = REGISTRY.addModule(new Module(id, "m")).getPrimaryKey();
        boolean plain = protocol == IotHubServiceClientProtocol.AMQPS;
        try (ServiceDevice device = new ServiceDevice(Service.connectionString(id, null, key),
                plain ? IotHubClientProtocol.AMQPS : IotHubClientProtocol.AMQPS_WS, null);
            ServiceDevice module = new ServiceDevice(Service.connectionString(id, "m", moduleKey),
                plain ? IotHubClientProtocol.MQTT : IotHubClientProtocol.MQTT_WS, null)) {
            messages(protocol, id, device, module);
        }
        REGISTRY.removeDevice(id);
    }

    private static Message message(String body, String id, DeliveryAcknowledgement ack) {
        Message message = new Message(body);
        message.setMessageId(id);
        message.setDeliveryAcknowledgement(ack);
        return message;
    }

    private static void messages(IotHubServiceClientProtocol protocol, String id, ServiceDevice device, ServiceDevice module) throws Exception {
        MessageFeedbackProcessorClient processor = new MessageFeedbackProcessorClient(Check.SERVICE, protocol, (FeedbackBatch batch) -> {
            if (GIVEN_BACK.compareAndSet(false, true)) {
                return AcknowledgementType.ABANDON; // it comes again
            }
            for (FeedbackRecord r : batch.getRecords()) {
                FEEDBACK.put(r.getDeviceId() + " " + r.getOriginalMessageId(), r.getStatusCode());
            }
            return AcknowledgementType.COMPLETE;
        });
        processor.start();
        Check.check(processor.isRunning(), "a feedback processor over " + protocol);

        MessagingClient client = new MessagingClient(Check.SERVICE, protocol);
        client.open();
        Check.check(client.isOpen(), "an open client over " + protocol);
        Message full = message("take ☃", "id-1", DeliveryAcknowledgement.Full);
        full.setCorrelationId("correlation-1");
        full.setProperties(Map.of("a b", "c&d=e"));
        client.send(id, full);
        client.send(id, message("refuse", "id-2", DeliveryAcknowledgement.NegativeOnly));
        client.send(id, message("quiet", "id-3", DeliveryAcknowledgement.None), 10000);
        client.send(id, "m", message("module", "id-4", DeliveryAcknowledgement.PositiveOnly));
        List<SendResult> results = new CopyOnWriteArrayList<>();
        client.sendAsync(id, message("later", "id-5", DeliveryAcknowledgement.None), results::add, "context");
        Check.eventually("an asynchronous send", () -> results.size() == 1);
        Check.check(results.get(0).wasSentSuccessfully() && results.get(0).getContext().equals("context"), "succeeds", results.get(0).getException());
        Check.eventually("the device has them", () -> device.messages.size() == 4 && module.messages.size() == 1);
        Check.equal(device.bodies(), List.of("take ☃", "refuse", "quiet", "later"), "in order");
        var first = device.messages.get(0);
        Check.equal(List.of(first.getMessageId(), first.getCorrelationId(), first.getProperty("a b")), List.of("id-1", "correlation-1", "c&d=e"), "with properties");
        Check.equal(module.bodies(), List.of("module"), "the module has its own");
        Map<String, FeedbackStatusCode> want = Map.of(id + " id-1", FeedbackStatusCode.success, id + " id-2", FeedbackStatusCode.rejected,
            id + " id-4", FeedbackStatusCode.success);
        Check.eventually("feedback about what asked for it over " + protocol, 60, () -> FEEDBACK.entrySet().containsAll(want.entrySet()));
        Check.equal(FEEDBACK.keySet().stream().filter(k -> k.startsWith(id + " ")).count(), 3L, "and about nothing else");
        Check.check(GIVEN_BACK.get(), "feedback that was given back came again");

        Service.refused("a message to nobody", IotHubNotFoundException.class, 0, () -> client.send("nobody", new Message("x")));
        Service.refused("a message to a module that is not there", IotHubNotFoundException.class, 0, () -> client.send(id, "none", new Message("x")));
        Service.refused("a message that is too large", IotHubMessageTooLargeException.class, 0, () -> client.send(id, new Message(new byte[70 * 1024])));
        client.send(id, new Message("still there"));
        client.close();
        processor.stop();
        Check.check(!processor.isRunning() && !client.isOpen(), "closed");
    }

    private static void refusals() throws Exception {
        REGISTRY.addDevice(new Device("full"));
        MessagingClient client = new MessagingClient(Check.SERVICE, IotHubServiceClientProtocol.AMQPS);
        client.open();
        List<SendResult> results = new CopyOnWriteArrayList<>();
        for (int i = 0; i < 50; i++) {
            client.sendAsync("full", new Message("message " + i), results::add, i);
        }
        Check.eventually("fifty are sent", () -> results.size() == 50);
        Check.check(results.stream().allMatch(SendResult::wasSentSuccessfully), "all of them well");
        Check.equal(REGISTRY.getDevice("full").getCloudToDeviceMessageCount(), 50L, "fifty wait");
        Service.refused("a queue that is full", IotHubDeviceMaximumQueueDepthExceededException.class, 0, () -> client.send("full", new Message("x")));
        client.close();
        REGISTRY.removeDevice("full");
        MessagingClient wrong = new MessagingClient(Check.SERVICE.replaceAll("SharedAccessKey=.*", "SharedAccessKey=d3Jvbmcga2V5"), IotHubServiceClientProtocol.AMQPS);
        Service.refused("a wrong key", IotHubUnauthorizedException.class, 0, wrong::open);
        MessagingClient reader = new MessagingClient(System.getenv("REGISTRY_READ_CONNECTION_STRING"), IotHubServiceClientProtocol.AMQPS);
        // The refusal comes when the client is open already, which it then is no more.
        Check.refused("a policy that may not send", Exception.class, e -> e instanceof IotHubUnauthorizedException
            || e instanceof IllegalStateException && e.getMessage().contains("must be opened"), () -> {
                reader.open();
                reader.send("d1", new Message("x"), 5000);
            });
    }

}
