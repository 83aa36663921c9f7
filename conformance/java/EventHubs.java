import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.AmqpTransportType;
import com.azure.core.amqp.exception.AmqpErrorCondition;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventHubConsumerAsyncClient;
import com.azure.messaging.eventhubs.EventHubConsumerClient;
import com.azure.messaging.eventhubs.EventHubProducerClient;
import com.azure.messaging.eventhubs.PartitionProperties;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.PartitionEvent;
import com.azure.messaging.eventhubs.models.ReceiveOptions;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import reactor.core.Disposable;
import reactor.core.publisher.Flux;

/**
 * Telemetry of Java devices over every protocol, read with Microsoft's Event Hubs SDK: contents, start positions, owner levels,
 * processors that share the partitions, refusals.
 */
final class EventHubs {
    static final String[] DEVICES = System.getenv("IOTHUB_DEVICES").split("\t");
    static final AmqpRetryOptions NO_RETRY = new AmqpRetryOptions().setMaxRetries(0).setTryTimeout(Duration.ofSeconds(15));
    static JsonObject hub;

    private EventHubs() {
    }

    public static void main(String[] args) {
        Check.main(280, EventHubs::run);
    }

    static EventHubClientBuilder builder(String connectionString) {
        return new EventHubClientBuilder().connectionString(connectionString).consumerGroup("$Default").retryOptions(NO_RETRY);
    }

    static String connectionString() {
        return hub.get("connectionString").getAsString();
    }

    static String id(PartitionEvent event) {
        return (String) event.getData().getSystemProperties().get("iothub-connection-device-id");
    }

    static boolean isTelemetry(EventData event) {
        return "Telemetry".equals(event.getSystemProperties().get("iothub-message-source"));
    }

    /** Receives in the background: the telemetry of each partition in order, what else there is, and how it ended. */
    static final class Reader implements AutoCloseable {
        final List<PartitionEvent> events = new CopyOnWriteArrayList<>();
        final List<PartitionEvent> others = new CopyOnWriteArrayList<>();
        final List<Throwable> errors = new CopyOnWriteArrayList<>();
        private final EventHubConsumerAsyncClient client;
        private final Disposable subscription;

        /** Every partition from the start. */
        Reader(EventHubClientBuilder builder) {
            client = builder.buildAsyncConsumerClient();
            subscription = subscribe(client.receive(true));
        }

        Reader(EventHubClientBuilder builder, String partition, EventPosition position, Long ownerLevel) {
            client = builder.buildAsyncConsumerClient();
            subscription = subscribe(client.receiveFromPartition(partition, position,
                new ReceiveOptions().setOwnerLevel(ownerLevel).setTrackLastEnqueuedEventProperties(true)));
        }

        private Disposable subscribe(Flux<PartitionEvent> flux) {
            return flux.subscribe(e -> (isTelemetry(e.getData()) ? events : others).add(e), errors::add);
        }

        /** Those of one device. */
        List<EventData> of(String device) {
            return events.stream().filter(e -> id(e).equals(device)).map(PartitionEvent::getData).toList();
        }

        List<String> bodies(String device) {
            return of(device).stream().map(EventData::getBodyAsString).toList();
        }

        AmqpErrorCondition condition() {
            return ((AmqpException) errors.get(0)).getErrorCondition();
        }

        @Override
        public void close() {
            subscription.dispose();
            client.close();
        }
    }

    static DeviceClient open(int device, IotHubClientProtocol protocol) throws Exception {
        DeviceClient client = new DeviceClient(DEVICES[device], protocol);
        client.open(false);
        return client;
    }

    static void run() throws Exception {
        hub = JsonParser.parseString(HttpClient.newHttpClient().send(
            HttpRequest.newBuilder(URI.create(Check.ADMIN + "/info")).build(), HttpResponse.BodyHandlers.ofString()).body())
            .getAsJsonObject().getAsJsonObject("eventHub");
        Instant before = Instant.now().minusSeconds(1);

        DeviceClient device = open(0, IotHubClientProtocol.MQTT);
        device.sendEvent(new Message("one"));
        Message full = new Message("{\"n\": 2}");
        full.setMessageId("message-2");
        full.setCorrelationId("correlation-2");
        full.setUserId("somebody");
        full.setContentType("application/json");
        full.setContentEncoding("utf-8");
        full.setProperty("plain", "value");
        full.setProperty("slash/key & more", "100% ☃");
        device.sendEvent(full);
        // The SDK insists on this before a report.
        device.subscribeToDesiredProperties((twin, context) -> { }, null);
        TwinCollection report = new TwinCollection();
        report.put("between", true);
        device.updateReportedProperties(report);
        byte[] binary = new byte[256];
        IntStream.range(0, 256).forEach(i -> binary[i] = (byte) i);
        device.sendEvent(new Message(binary));
        Thread.sleep(50);
        device.sendEvent(new Message("four"));

        List<String> overOther = otherProtocols();

        // The three ways in lead to the same.
        Map<String, EventHubClientBuilder> ways = Map.of(
            "TLS", builder(connectionString()),
            "no TLS", builder(hub.get("emulatorConnectionString").getAsString()),
            "WebSockets", builder(connectionString()).transportType(AmqpTransportType.AMQP_WEB_SOCKETS));
        for (Map.Entry<String, EventHubClientBuilder> way : ways.entrySet()) {
            try (EventHubConsumerClient client = way.getValue().buildConsumerClient(); Reader reader = new Reader(way.getValue())) {
                Check.equal(client.getEventHubProperties().getName(), hub.get("entityPath").getAsString(), "the event hub over " + way.getKey());
                Check.equal(client.getPartitionIds().stream().toList(), List.of("0", "1", "2", "3"), "its partitions");
                Check.check(client.getEventHubProperties().getCreatedAt().isBefore(Instant.now()), "its age");
                Check.eventually("every partition from the start over " + way.getKey(), () -> reader.of("d1").size() >= 4
                    && reader.of("d2").size() >= overOther.size() && !reader.others.isEmpty());
                Check.equal(reader.bodies("d2"), overOther, "what the other protocols brought");
                Check.equal(reader.errors, List.of(), "no errors");
            }
        }
        Reader all = new Reader(builder(connectionString()));
        Check.eventually("all again", () -> all.of("d1").size() == 4 && all.of("d2").size() == overOther.size());
        all.close();
        String partition = all.events.stream().filter(e -> id(e).equals("d1")).findFirst().orElseThrow().getPartitionContext().getPartitionId();
        List<EventData> events = all.of("d1");
        contents(events, binary, before);
        sameForm(all.of("d2"));
        EventData change = all.others.get(0).getData();
        Check.equal(change.getSystemProperties().get("iothub-message-source"), "twinChangeEvents", "the twin's report is an event of its own");
        Check.check(change.getBodyAsString().contains("\"between\":true"), "and says what was reported", change.getBodyAsString());
        try (EventHubConsumerClient client = builder(connectionString()).buildConsumerClient()) {
            PartitionProperties about = client.getPartitionProperties(partition);
            EventData last = all.events.stream().filter(e -> e.getPartitionContext().getPartitionId().equals(partition))
                .map(PartitionEvent::getData).reduce((a, b) -> b).orElseThrow();
            Check.equal(List.of(about.getId(), about.getLastEnqueuedSequenceNumber(), about.getLastEnqueuedOffset(), about.isEmpty()),
                List.of(partition, last.getSequenceNumber(), String.valueOf(last.getOffset()), false), "partition properties");
            Check.equal(about.getLastEnqueuedTime(), last.getEnqueuedTime(), "last enqueued time");
            PartitionProperties empty = Stream.of("0", "1", "2", "3").map(client::getPartitionProperties).filter(PartitionProperties::isEmpty)
                .findFirst().orElseThrow();
            Check.equal(List.of(empty.getLastEnqueuedSequenceNumber(), empty.getLastEnqueuedOffset()), List.of(-1L, "-1"), "an empty partition");
        }

        positions(device, partition, events, before);
        owners(partition);
        Processors.run(device);
        refusals(partition);
        device.close();
    }

    /** The second device sends by every other protocol; returns what a reader must find. */
    static List<String> otherProtocols() throws Exception {
        List<String> sent = new ArrayList<>();
        for (IotHubClientProtocol protocol : List.of(IotHubClientProtocol.AMQPS, IotHubClientProtocol.AMQPS_WS,
            IotHubClientProtocol.MQTT_WS, IotHubClientProtocol.HTTPS)) {
            DeviceClient client = open(1, protocol);
            Message message = new Message("over " + protocol);
            message.setMessageId("by " + protocol);
            message.setContentType("text/plain");
            message.setProperty("protocol", protocol.name());
            client.sendEvent(message);
            sent.add("over " + protocol);
            if (protocol == IotHubClientProtocol.HTTPS) {
                client.sendEvents(List.of(new Message("first of a batch"), new Message("second of a batch")));
                sent.addAll(List.of("first of a batch", "second of a batch"));
            }
            client.close();
        }
        return sent;
    }

    /** What the other protocols brought has the same form. */
    static void sameForm(List<EventData> events) {
        for (EventData event : events) {
            String body = event.getBodyAsString();
            if (!body.startsWith("over ")) {
                continue;
            }
            Map<String, Object> system = event.getSystemProperties();
            // Over AMQP the SDK sends the device's ID as a property of the application.
            Map<String, Object> properties = new HashMap<>(event.getProperties());
            properties.remove("iothub-connection-device-id");
            Check.equal(List.of(event.getMessageId(), event.getContentType(), properties, system.get("iothub-connection-device-id"),
                system.get("iothub-enqueuedtime").getClass()), List.of(body.replace("over", "by"), "text/plain",
                Map.of("protocol", body.substring(5)), "d2", java.util.Date.class), "a message " + body);
            Check.check(((String) system.get("iothub-connection-auth-method")).contains("\"scope\":\"device\""), "auth method " + body);
        }
    }

    static void contents(List<EventData> events, byte[] binary, Instant before) {
        EventData one = events.get(0);
        EventData two = events.get(1);
        Check.equal(events.stream().map(EventData::getBody).toArray(),
            new Object[] {"one".getBytes(), "{\"n\": 2}".getBytes(), binary, "four".getBytes()}, "bodies");
        Check.equal(one.getProperties(), Map.of(), "no properties");
        Check.equal(two.getProperties(), Map.of("plain", "value", "slash/key & more", "100% ☃"), "application properties");
        Map<String, Object> system = two.getSystemProperties();
        Check.equal(system.get("iothub-connection-device-id"), "d1", "device");
        Check.equal(JsonParser.parseString((String) system.get("iothub-connection-auth-method")), JsonParser.parseString(
            "{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}"), "auth method");
        Check.check(((String) system.get("iothub-connection-auth-generation-id")).matches("\\d+"), "generation");
        Check.equal(List.of(system.get("x-opt-sequence-number").getClass(), system.get("x-opt-offset").getClass(),
            system.get("x-opt-enqueued-time").getClass(), system.get("iothub-enqueuedtime").getClass()),
            List.of(Long.class, Long.class, Instant.class, java.util.Date.class), "types of the annotations");
        Check.equal(List.of(two.getMessageId(), two.getCorrelationId(), two.getContentType(), system.get("content-encoding")),
            List.of("message-2", "correlation-2", "application/json", "utf-8"), "message properties");
        Check.equal(new String(two.getRawAmqpMessage().getProperties().getUserId()), "somebody", "user id");
        List<Long> numbers = events.stream().map(EventData::getSequenceNumber).toList();
        Check.equal(numbers, numbers.stream().sorted().distinct().toList(), "sequence numbers rise");
        Check.check(before.isBefore(one.getEnqueuedTime()) && !events.get(3).getEnqueuedTime().isBefore(one.getEnqueuedTime())
            && events.get(3).getEnqueuedTime().isBefore(Instant.now().plusSeconds(1)), "enqueued times");
    }

    static void positions(DeviceClient device, String partition, List<EventData> events, Instant before) throws Exception {
        record Position(String claim, EventPosition position, int want) {
        }
        EventData two = events.get(1);
        for (Position p : List.of(
            new Position("from the earliest", EventPosition.earliest(), 4),
            new Position("after a sequence number", EventPosition.fromSequenceNumber(two.getSequenceNumber()), 2),
            new Position("not at a sequence number", EventPosition.fromSequenceNumber(two.getSequenceNumber(), false), 2),
            new Position("at a sequence number", EventPosition.fromSequenceNumber(two.getSequenceNumber(), true), 3),
            new Position("after an offset", EventPosition.fromOffset(events.get(0).getOffset()), 3),
            new Position("after an enqueued time", EventPosition.fromEnqueuedTime(events.get(2).getEnqueuedTime()), 1),
            new Position("after a time before all", EventPosition.fromEnqueuedTime(before), 4))) {
            try (Reader reader = new Reader(builder(connectionString()), partition, p.position, null)) {
                Check.eventually(p.claim, () -> reader.of("d1").size() >= p.want);
                List<Long> want = events.subList(4 - p.want, 4).stream().map(EventData::getSequenceNumber).toList();
                Check.equal(reader.of("d1").stream().map(EventData::getSequenceNumber).toList(), want, p.claim + ": these");
                Check.equal(reader.errors, List.of(), p.claim + ": no errors");
                PartitionEvent last = reader.events.get(reader.events.size() - 1);
                Check.check(last.getLastEnqueuedEventProperties().getSequenceNumber() >= events.get(3).getSequenceNumber()
                    && last.getLastEnqueuedEventProperties().getEnqueuedTime() != null, "the last enqueued event is told");
            }
        }
        // The latest: only what comes once the link is there.
        try (Reader latest = new Reader(builder(connectionString()), partition, EventPosition.latest(), null)) {
            int[] count = {0};
            Check.eventually("a message after the latest", () -> {
                device.sendEvent(new Message("new " + ++count[0]));
                return !latest.of("d1").isEmpty();
            });
            Check.check(latest.bodies("d1").stream().allMatch(b -> b.startsWith("new ")), "none of the old", latest.bodies("d1"));
        }
    }

    /** A reader with a higher owner level ends the other, and keeps it out; an equal one takes over. */
    static void owners(String partition) throws Exception {
        EventPosition start = EventPosition.earliest();
        Reader low = new Reader(builder(connectionString()), partition, start, 1L);
        Check.eventually("the owner reads", () -> low.of("d1").size() >= 4);
        Reader high = new Reader(builder(connectionString()), partition, start, 2L);
        Check.eventually("a higher owner reads", () -> high.of("d1").size() >= 4);
        Check.eventually("the lower owner is told", () -> !low.errors.isEmpty());
        Check.equal(low.condition(), AmqpErrorCondition.LINK_STOLEN, "link stolen");
        Check.check(!((AmqpException) low.errors.get(0)).isTransient(), "for good");
        Check.check(low.errors.get(0).getMessage().contains("New receiver"), "by whom", low.errors.get(0).getMessage());
        low.close();
        for (Long level : Arrays.asList(1L, null)) {
            Reader late = new Reader(builder(connectionString()), partition, start, level);
            Check.eventually("a reader of level " + level + " is kept out", () -> !late.errors.isEmpty());
            Check.equal(late.condition(), AmqpErrorCondition.LINK_STOLEN, "link stolen");
            Check.equal(late.events, List.of(), "with nothing read");
            late.close();
        }
        Reader equal = new Reader(builder(connectionString()), partition, start, 2L);
        Check.eventually("one of the same level takes over", () -> equal.of("d1").size() >= 4 && !high.errors.isEmpty());
        Check.equal(high.condition(), AmqpErrorCondition.LINK_STOLEN, "link stolen");
        high.close();
        equal.close();
    }

    static String endpoint(String policy, String key) {
        return "Endpoint=sb://" + Check.field(Check.SERVICE, "HostName") + "/;SharedAccessKeyName=" + policy + ";SharedAccessKey=" + key
            + ";EntityPath=" + hub.get("entityPath").getAsString();
    }

    static void refusals(String partition) throws Exception {
        String wrong = endpoint("iothubowner", "d3Jvbmcga2V5");
        try (EventHubConsumerClient client = builder(wrong).buildConsumerClient()) {
            Check.refused("a wrong key at the event hub", AmqpException.class,
                e -> e.getErrorCondition() == AmqpErrorCondition.UNAUTHORIZED_ACCESS, client::getEventHubProperties);
        }
        record Refusal(String claim, EventHubClientBuilder builder, String partition, AmqpErrorCondition condition) {
        }
        for (Refusal r : List.of(
            new Refusal("a wrong key at a partition", builder(wrong), partition, AmqpErrorCondition.UNAUTHORIZED_ACCESS),
            new Refusal("a consumer group that is not there", builder(connectionString()).consumerGroup("nobody"), partition, AmqpErrorCondition.NOT_FOUND),
            new Refusal("a partition that is not there", builder(connectionString()), "77", AmqpErrorCondition.ARGUMENT_OUT_OF_RANGE_ERROR))) {
            try (Reader reader = new Reader(r.builder, r.partition, EventPosition.earliest(), null)) {
                Check.eventually(r.claim, () -> !reader.errors.isEmpty());
                Check.equal(reader.condition(), r.condition, r.claim + ": the condition");
                Check.equal(reader.events, List.of(), r.claim + ": nothing read");
            }
        }
        // Five readers are the most.
        List<Reader> five = IntStream.range(0, 5)
            .mapToObj(i -> new Reader(builder(connectionString()), partition, EventPosition.earliest(), null)).toList();
        Check.eventually("five readers of a partition", () -> five.stream().allMatch(r -> r.of("d1").size() >= 4));
        try (Reader sixth = new Reader(builder(connectionString()), partition, EventPosition.earliest(), null)) {
            Check.eventually("a sixth reader is refused", () -> !sixth.errors.isEmpty());
            Check.equal(sixth.condition(), AmqpErrorCondition.RESOURCE_LIMIT_EXCEEDED, "quota");
        }
        five.forEach(Reader::close);
        try (EventHubProducerClient producer = builder(connectionString()).buildProducerClient()) {
            Check.refused("sending to the built-in endpoint", AmqpException.class,
                e -> e.getErrorCondition() == AmqpErrorCondition.UNAUTHORIZED_ACCESS,
                () -> producer.send(Collections.singleton(new EventData("mine"))));
        }
        try (EventHubConsumerClient client = builder(endpoint("iothubowner", Check.field(Check.SERVICE, "SharedAccessKey"))).buildConsumerClient()) {
            Check.equal(client.getPartitionProperties(partition).getId(), partition, "the owner's key reads too");
        }
    }

    /** The partitions, for {@link Processors}. */
    static final Set<String> PARTITIONS = Set.of("0", "1", "2", "3");
}
