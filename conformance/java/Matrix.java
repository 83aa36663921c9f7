import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** The whole of Microsoft's Java device client over one transport; every feature has devices of its own, and several are tried at a time. */
final class Matrix {
    static final String TRANSPORT = System.getenv().getOrDefault("MATRIX_TRANSPORT", "mqtt");
    static final IotHubClientProtocol PROTOCOL = protocol(TRANSPORT);
    static final boolean MQTT = TRANSPORT.startsWith("mqtt");
    static final boolean AMQP = TRANSPORT.startsWith("amqp");
    static final boolean HTTP = TRANSPORT.equals("http");
    static final boolean WEB_SOCKET = TRANSPORT.endsWith("-ws");

    private Matrix() {
    }

    public static void main(String[] args) {
        Map<String, Check.Program> parts = new LinkedHashMap<>();
        parts.put("connection", MatrixConnection::run); // waits most of the time, so it comes first
        parts.put("renewal", MatrixConnection::renewal);
        parts.put("faults", MatrixFaults::run);
        parts.put("c2d", MatrixMessages::c2d);
        parts.put("telemetry", MatrixMessages::telemetry);
        parts.put("methods", MatrixMethods::run);
        parts.put("twins", MatrixTwins::run);
        parts.put("modules", MatrixModules::run);
        parts.put("certificates", MatrixConnection::certificates);
        String only = System.getenv().getOrDefault("MATRIX_ONLY", "");
        Check.main(280, () -> {
            ExecutorService threads = Executors.newFixedThreadPool(4);
            Map<String, Future<?>> ends = new LinkedHashMap<>();
            parts.forEach((name, part) -> {
                if (only.isEmpty() || Arrays.asList(only.split(",")).contains(name)) {
                    ends.put(name, threads.submit(() -> {
                        part.run();
                        return null;
                    }));
                }
            });
            List<String> failures = new ArrayList<>();
            ends.forEach((name, end) -> {
                try {
                    end.get();
                } catch (InterruptedException | ExecutionException e) {
                    failures.add(name);
                    tell(name, e.getCause());
                }
            });
            Check.equal(failures, List.of(), "what failed");
        });
    }

    /** A failure with the lines of these programs that led to it; the SDK's own would fill pages. */
    private static synchronized void tell(String name, Throwable failure) {
        for (Throwable e = failure; e != null; e = e.getCause()) {
            System.out.println("FAILED " + name + ": " + e);
            Arrays.stream(e.getStackTrace()).filter(at -> at.getFileName() != null && at.getClassName().matches("(Matrix|Peer|Back|Check).*"))
                .forEach(at -> System.out.println("    " + at));
        }
    }

    static IotHubClientProtocol protocol(String transport) {
        return switch (transport) {
            case "mqtt" -> IotHubClientProtocol.MQTT;
            case "mqtt-ws" -> IotHubClientProtocol.MQTT_WS;
            case "amqp" -> IotHubClientProtocol.AMQPS;
            case "amqp-ws" -> IotHubClientProtocol.AMQPS_WS;
            case "http" -> IotHubClientProtocol.HTTPS;
            default -> throw new IllegalArgumentException(transport);
        };
    }

    /** Over HTTPS the SDK asks for messages every 10 ms unless it is told otherwise; here a third of a second will do. */
    static ClientOptions.ClientOptionsBuilder options() {
        return ClientOptions.builder().receiveInterval(HTTP ? 300 : 10).messageExpirationCheckPeriod(500);
    }

    static void pass(String... features) {
        Check.cell(TRANSPORT, features);
    }

    /** The SDK must refuse with an UnsupportedOperationException, whose words go into the cells. */
    static void unsupported(Check.Program program, String... features) {
        UnsupportedOperationException e = Check.refused("the SDK refuses " + String.join(", ", features), UnsupportedOperationException.class,
            x -> x.getMessage() != null, program);
        for (String feature : features) {
            Check.notSupported(TRANSPORT, feature, e.getMessage());
        }
    }
}
