import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.digitaltwin.DigitalTwinClient;
import com.microsoft.azure.sdk.iot.service.digitaltwin.UpdateOperationUtility;
import com.microsoft.azure.sdk.iot.service.digitaltwin.customized.DigitalTwinGetHeaders;
import com.microsoft.azure.sdk.iot.service.digitaltwin.models.DigitalTwinCommandResponse;
import com.microsoft.azure.sdk.iot.service.digitaltwin.models.DigitalTwinInvokeCommandRequestOptions;
import com.microsoft.azure.sdk.iot.service.digitaltwin.models.DigitalTwinUpdateRequestOptions;
import com.microsoft.azure.sdk.iot.service.digitaltwin.serialization.BasicDigitalTwin;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubGatewayTimeoutException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.rest.RestException;
import com.microsoft.rest.ServiceResponseWithHeaders;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** DirectMethodsClient and DigitalTwinClient. */
final class ServiceMethods {
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);

    /** Without these the SDK asks the hub to wait for 200 seconds. */
    private static final DirectMethodRequestOptions SOON =
        DirectMethodRequestOptions.builder().methodConnectTimeoutSeconds(1).methodResponseTimeoutSeconds(5).build();

    private ServiceMethods() {
    }

    static void run() throws Exception {
        String key = REGISTRY.addDevice(new Device("meth")).getPrimaryKey();
        String moduleKey = REGISTRY.addModule(new Module("meth", "m")).getPrimaryKey();
        REGISTRY.addDevice(new Device("offline"));
        try (ServiceDevice device = new ServiceDevice(Service.connectionString("meth", null, key), IotHubClientProtocol.AMQPS, null);
            ServiceDevice module = new ServiceDevice(Service.connectionString("meth", "m", moduleKey), IotHubClientProtocol.MQTT, null)) {
            Check.check(device != module, "a device and its module");
            methods();
        }
        digitalTwins();
        REGISTRY.removeDevice("meth");
        REGISTRY.removeDevice("offline");
    }

    private static void methods() throws Exception {
        DirectMethodsClient client = new DirectMethodsClient(Check.SERVICE);
        DirectMethodResponse bare = client.invoke("meth", "hello");
        Check.equal(bare.getStatus(), 200, "a method without payload");
        Check.equal(bare.getPayload(JsonObject.class).get("name").getAsString(), "hello", "its name");
        for (Object payload : List.of("text", 7, true, List.of(1, "two"), Map.of("a", Map.of("b", 1)))) {
            DirectMethodResponse answer = client.invoke("meth", "echo",
                DirectMethodRequestOptions.builder().payload(payload).methodConnectTimeoutSeconds(10).methodResponseTimeoutSeconds(10).build());
            Check.equal(answer.getPayloadAsJsonElement().getAsJsonObject().get("payload"), new com.google.gson.Gson().toJsonTree(payload), "payload " + payload);
        }
        DirectMethodResponse failed = client.invoke("meth", "fail");
        Check.equal(List.of(failed.getStatus(), failed.getPayload(String.class)), List.of(400, "no"), "the device's own refusal");
        DirectMethodResponse ofModule = client.invoke("meth", "m", "echo", DirectMethodRequestOptions.builder().payload("x").build());
        Check.equal(ofModule.getPayloadAsJsonElement(), JsonParser.parseString("{\"name\":\"echo\",\"payload\":\"x\"}"), "a module's method");
        Check.equal(client.invoke("meth", "m", "echo").getStatus(), 200, "without payload");

        Service.refused("a device that does not answer", IotHubGatewayTimeoutException.class, 0,
            () -> client.invoke("meth", "sleep", SOON));
        Service.refused("a device that is not connected", IotHubNotFoundException.class, 404103, () -> client.invoke("offline", "echo", SOON));
        Service.refused("nobody", IotHubNotFoundException.class, 404001, () -> client.invoke("nobody", "echo"));
        Service.refused("a module that is not there", IotHubNotFoundException.class, 404010, () -> client.invoke("meth", "none", "echo"));
    }

    private static void digitalTwins() throws Exception {
        String key = REGISTRY.addDevice(new Device("pnp")).getPrimaryKey();
        DigitalTwinClient client = new DigitalTwinClient(Check.SERVICE);
        try (ServiceDevice device = new ServiceDevice(Service.connectionString("pnp", null, key), IotHubClientProtocol.MQTT, "dtmi:com:example:Thermostat;1")) {
            device.report("serialNumber", "S1");
            ServiceResponseWithHeaders<BasicDigitalTwin, DigitalTwinGetHeaders> got = client.getDigitalTwinWithResponse("pnp", BasicDigitalTwin.class);
            Check.equal(List.of(got.body().getId(), got.body().getMetadata().getModelId(), got.body().getCustomProperties().get("serialNumber")),
                List.of("pnp", "dtmi:com:example:Thermostat;1", "S1"), "a digital twin");
            Check.check(got.headers().eTag() != null, "its etag");
            JsonObject asText = JsonParser.parseString(client.getDigitalTwin("pnp", String.class)).getAsJsonObject();
            Check.equal(asText.get("$dtId").getAsString(), "pnp", "as text");

            UpdateOperationUtility target = new UpdateOperationUtility().appendAddPropertyOperation("/targetTemperature", 42);
            var updated = client.updateDigitalTwinWithResponse("pnp", target.getUpdateOperations());
            Check.check(updated.headers().eTag() != null && updated.headers().location() != null, "an accepted update", updated.headers());
            Check.equal(updated.response().code(), 202, "accepted");
            client.updateDigitalTwin("pnp", new UpdateOperationUtility().appendReplacePropertyOperation("/targetTemperature", 43)
                .appendAddComponentOperation("/sensor", new HashMap<>(Map.of("limit", 5))).getUpdateOperations());
            JsonObject now = JsonParser.parseString(client.getDigitalTwin("pnp", String.class)).getAsJsonObject();
            Check.equal(now.getAsJsonObject("$metadata").getAsJsonObject("targetTemperature").get("desiredValue").getAsInt(), 43, "a wish");
            Check.equal(now.getAsJsonObject("sensor").getAsJsonObject("$metadata").getAsJsonObject("limit").get("desiredValue").getAsInt(), 5, "a component");
            client.updateDigitalTwin("pnp", new UpdateOperationUtility().appendRemovePropertyOperation("/targetTemperature").getUpdateOperations());
            Check.check(!JsonParser.parseString(client.getDigitalTwin("pnp", String.class)).getAsJsonObject().getAsJsonObject("$metadata")
                .has("targetTemperature"), "a wish withdrawn");

            DigitalTwinCommandResponse answer = client.invokeCommand("pnp", "echo", "{\"since\": 5}");
            Check.equal(List.of(answer.getStatus(), parsed(answer).get("name").getAsString()), List.of(200, "echo"), "a command");
            Check.equal(client.invokeCommand("pnp", "fail").getStatus(), 400, "a command that the device refuses");
            DigitalTwinInvokeCommandRequestOptions patient = new DigitalTwinInvokeCommandRequestOptions();
            patient.setConnectTimeoutInSeconds(10);
            patient.setResponseTimeoutInSeconds(10);
            var long1 = client.invokeCommandWithResponse("pnp", "echo", "7", patient);
            Check.check(long1.headers().getRequestId() != null, "a command's request ID");
            DigitalTwinCommandResponse component = client.invokeComponentCommand("pnp", "sensor", "reboot", "1");
            Check.equal(parsed(component).get("name").getAsString(), "sensor*reboot", "a component's command");
            Check.equal(client.invokeComponentCommandWithResponse("pnp", "sensor", "reboot", "1", patient).body().getStatus(), 200, "with options");

            rest("an update with an old etag", 412, () -> client.updateDigitalTwinWithResponse("pnp", target.getUpdateOperations(),
                new DigitalTwinUpdateRequestOptions().setIfMatch("\"AAAAAAAAAAE=\"")));
        }
        // The SDK takes this refusal for an answer.
        Check.equal(client.getDigitalTwinWithResponse("nobody", String.class).response().code(), 404, "a digital twin of nobody");
        rest("an update of nobody", 404, () -> client.updateDigitalTwin("nobody",
            new UpdateOperationUtility().appendAddPropertyOperation("/a", 1).getUpdateOperations()));
        rest("a command of a device that is not connected", 404, () -> client.invokeCommand("offline", "echo"));
        rest("a component's command of nobody", 404, () -> client.invokeComponentCommand("nobody", "sensor", "reboot"));
        REGISTRY.removeDevice("pnp");
    }

    /** The SDK hands on the text of a command's answer as a JSON string. */
    private static JsonObject parsed(DigitalTwinCommandResponse answer) {
        return JsonParser.parseString(answer.getPayload(String.class)).getAsJsonObject();
    }

    private static void rest(String claim, int status, Check.Program program) {
        Check.refused(claim, RestException.class, e -> e.response().code() == status, program);
    }
}
