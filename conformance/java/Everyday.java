import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;

/** A device and its back end as people write them: nothing but what `hubnerite env` or `hubnerite exec` sets tells them about the emulator. */
final class Everyday {
    private Everyday() {
    }

    public static void main(String[] args) {
        Check.main(280, () -> {
            String id = System.getenv("IOTHUB_DEVICE_ID");
            Check.equal(new RegistryClient(Check.SERVICE).getDevice(id).getDeviceId(), id, "the registry, over HTTPS");
            for (IotHubClientProtocol protocol : IotHubClientProtocol.values()) {
                DeviceClient device = new DeviceClient(System.getenv("IOTHUB_DEVICE_CONNECTION_STRING"), protocol);
                device.open(true);
                device.sendEvent(new Message("over " + protocol));
                if (protocol != IotHubClientProtocol.HTTPS) {
                    device.subscribeToMethods((name, payload, context) -> new DirectMethodResponse(200, name), null);
                    DirectMethodRequestOptions options = DirectMethodRequestOptions.builder().methodConnectTimeoutSeconds(10).methodResponseTimeoutSeconds(30).build();
                    Check.equal(new DirectMethodsClient(Check.SERVICE).invoke(id, "hello", options).getPayload(String.class), "hello", "a method over " + protocol);
                }
                device.close();
            }
            var kept = Back.keptBodies(id);
            for (IotHubClientProtocol protocol : IotHubClientProtocol.values()) {
                Check.check(kept.contains("over " + protocol), "telemetry over " + protocol, kept);
            }
        });
    }
}
