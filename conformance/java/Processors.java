import com.azure.messaging.eventhubs.CheckpointStore;
import com.azure.messaging.eventhubs.EventProcessorClient;
import com.azure.messaging.eventhubs.EventProcessorClientBuilder;
import com.azure.messaging.eventhubs.models.Checkpoint;
import com.azure.messaging.eventhubs.models.CloseReason;
import com.azure.messaging.eventhubs.models.EventContext;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.PartitionOwnership;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.Message;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** Processors that share the partitions by a checkpoint store in memory, and take over from one another. */
final class Processors {
    private Processors() {
    }

    /** What a blob container is to production: ownership by compare and swap, and checkpoints. */
    static final class Store implements CheckpointStore {
        private final Map<String, PartitionOwnership> owners = new HashMap<>();
        private final Map<String, Checkpoint> checkpoints = new HashMap<>();

        // Everything happens when it is subscribed to: the processor does so again and again.

        @Override
        public Flux<PartitionOwnership> listOwnership(String namespace, String eventHub, String group) {
            return Flux.defer(() -> Flux.fromIterable(owners()));
        }

        private synchronized List<PartitionOwnership> owners() {
            return List.copyOf(owners.values());
        }

        @Override
        public Flux<PartitionOwnership> claimOwnership(List<PartitionOwnership> wanted) {
            return Flux.defer(() -> Flux.fromIterable(claim(wanted)));
        }

        private synchronized List<PartitionOwnership> claim(List<PartitionOwnership> wanted) {
            List<PartitionOwnership> got = new ArrayList<>();
            for (PartitionOwnership w : wanted) {
                PartitionOwnership has = owners.get(w.getPartitionId());
                if (has != null && !Objects.equals(has.getETag(), w.getETag())) {
                    continue;
                }
                PartitionOwnership is = new PartitionOwnership().setFullyQualifiedNamespace(w.getFullyQualifiedNamespace())
                    .setEventHubName(w.getEventHubName()).setConsumerGroup(w.getConsumerGroup()).setPartitionId(w.getPartitionId())
                    .setOwnerId(w.getOwnerId()).setLastModifiedTime(System.currentTimeMillis()).setETag(UUID.randomUUID().toString());
                owners.put(w.getPartitionId(), is);
                got.add(is);
            }
            return got;
        }

        @Override
        public Flux<Checkpoint> listCheckpoints(String namespace, String eventHub, String group) {
            return Flux.defer(() -> Flux.fromIterable(checkpoints()));
        }

        private synchronized List<Checkpoint> checkpoints() {
            return List.copyOf(checkpoints.values());
        }

        @Override
        public Mono<Void> updateCheckpoint(Checkpoint checkpoint) {
            return Mono.fromRunnable(() -> keep(checkpoint));
        }

        private synchronized void keep(Checkpoint checkpoint) {
            checkpoints.put(checkpoint.getPartitionId(), checkpoint);
        }
    }

    /** One processor, and what it did. */
    static final class Processor {
        final Set<String> partitions = ConcurrentHashMap.newKeySet();
        final List<String> bodies = new CopyOnWriteArrayList<>();
        final List<Throwable> errors = new CopyOnWriteArrayList<>();
        final List<CloseReason> closed = new CopyOnWriteArrayList<>();
        private final EventProcessorClient client;

        Processor(Store store) {
            client = new EventProcessorClientBuilder().connectionString(EventHubs.connectionString()).consumerGroup("$Default")
                .retryOptions(EventHubs.NO_RETRY).checkpointStore(store).loadBalancingUpdateInterval(Duration.ofMillis(500))
                .partitionOwnershipExpirationInterval(Duration.ofSeconds(5)).initialPartitionEventPosition(p -> EventPosition.earliest())
                .processPartitionInitialization(c -> partitions.add(c.getPartitionContext().getPartitionId()))
                .processPartitionClose(c -> {
                    partitions.remove(c.getPartitionContext().getPartitionId());
                    closed.add(c.getCloseReason());
                })
                .processEvent(this::take)
                .processError(c -> errors.add(c.getThrowable()))
                .buildEventProcessorClient();
            client.start();
        }

        private void take(EventContext context) {
            if (EventHubs.isTelemetry(context.getEventData())) {
                bodies.add(context.getEventData().getBodyAsString());
            }
            context.updateCheckpoint();
        }

        void stop() {
            try {
                client.stop(Duration.ofSeconds(2));
            } catch (IllegalStateException e) {
                // Now and then the SDK waits in vain for its own balancing, although partitions and connections are closed.
                System.out.println("note: " + e.getMessage());
            }
        }
    }

    /** The device's messages are read by one, two, one and another processor. */
    static void run(DeviceClient device) throws Exception {
        Store store = new Store();
        Processor left = new Processor(store);
        Check.eventually("one processor has all partitions", () -> left.partitions.equals(EventHubs.PARTITIONS));
        Processor right = new Processor(store);
        Check.eventually("two processors have two partitions each", 60, () -> {
            Set<String> both = new HashSet<>(left.partitions);
            both.addAll(right.partitions);
            return left.partitions.size() == 2 && right.partitions.size() == 2 && both.equals(EventHubs.PARTITIONS);
        });
        Check.eventually("all read by the two", () -> {
            Collection<String> both = new HashSet<>(left.bodies);
            both.addAll(right.bodies);
            return both.containsAll(Set.of("one", "four", "over AMQPS"));
        });
        left.stop();
        Check.eventually("the other takes over", 60, () -> right.partitions.equals(EventHubs.PARTITIONS));
        device.sendEvent(new Message("the last checkpoint"));
        Check.eventually("and reads to the end", () -> right.bodies.contains("the last checkpoint"));
        Check.equal(right.errors, List.of(), "no errors while taking over");
        right.stop();

        Processor again = new Processor(store);
        Check.eventually("a processor with the same checkpoints", 60, () -> again.partitions.equals(EventHubs.PARTITIONS));
        device.sendEvent(new Message("after the checkpoints"));
        Check.eventually("reads on", () -> again.bodies.contains("after the checkpoints"));
        Check.equal(again.bodies, List.of("after the checkpoints"), "and nothing twice");
        again.stop();
    }
}
