import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodPayload;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A device or module that the service client talks to: it answers methods, keeps messages and reports. */
final class ServiceDevice implements AutoCloseable {
    final List<Message> messages = new CopyOnWriteArrayList<>();
    private final InternalClient client;

    /** A device, or a module when the connection string says so. */
    ServiceDevice(String connectionString, IotHubClientProtocol protocol, String modelId) throws Exception {
        ClientOptions options = ClientOptions.builder().modelId(modelId).build();
        if (connectionString.contains(";ModuleId=")) {
            ModuleClient module = new ModuleClient(connectionString, protocol, options);
            module.setMessageCallback(this::take, null);
            client = module;
        } else {
            DeviceClient device = new DeviceClient(connectionString, protocol, options);
            device.setMessageCallback(this::take, null);
            client = device;
        }
        client.open(false);
        client.subscribeToMethods(this::answer, null);
    }

    private IotHubMessageResult take(Message message, Object context) {
        messages.add(message);
        return text(message).startsWith("refuse") ? IotHubMessageResult.REJECT : IotHubMessageResult.COMPLETE;
    }

    static String text(Message message) {
        return new String(message.getBytes(), Message.DEFAULT_IOTHUB_MESSAGE_CHARSET);
    }

    List<String> bodies() {
        return messages.stream().map(ServiceDevice::text).toList();
    }

    private DirectMethodResponse answer(String name, DirectMethodPayload payload, Object context) {
        JsonObject echo = new JsonObject();
        echo.addProperty("name", name);
        echo.add("payload", payload.getPayloadAsJsonElement());
        switch (name) {
            case "fail":
                return new DirectMethodResponse(400, "no");
            case "sleep":
                try {
                    Thread.sleep(8000);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                return new DirectMethodResponse(200, null);
            default:
                return new DirectMethodResponse(200, echo);
        }
    }

    void report(String name, Object value) throws Exception {
        client.subscribeToDesiredProperties((twin, context) -> { }, null);
        TwinCollection report = new TwinCollection();
        report.put(name, value);
        client.updateReportedProperties(report);
    }

    @Override
    public void close() {
        client.close();
    }
}
