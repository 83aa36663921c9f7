import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Direct methods, and what Plug and Play makes of them. */
final class MatrixMethods {
    private static final String MODEL = "dtmi:com:example:TemperatureController;2";

    private MatrixMethods() {
    }

    static void run() throws Exception {
        String connectionString = Back.register("called", null);
        try (Peer peer = new Peer(connectionString)) {
            if (Matrix.HTTP) {
                Matrix.unsupported(peer::listen, "method-payloads", "method-status");
            } else {
                payloads(peer);
                status(peer);
            }
        }
        plugAndPlay();
    }

    private static void payloads(Peer peer) throws Exception {
        List<JsonElement> came = Collections.synchronizedList(new ArrayList<>());
        peer.client.subscribeToMethods((name, payload, context) -> {
            came.add(payload.getPayloadAsJsonElement());
            return new DirectMethodResponse(200, payload.getPayloadAsJsonElement());
        }, null);
        List<JsonElement> sent = new ArrayList<>();
        for (String text : List.of("{\"a\":1}", "{}", "[1,\"two\",null]", "[]", "\"text\"", "\"\"", "42", "-2.5", "0", "1e300", "true", "false", "null",
            "{\"a\":{\"b\":[{\"c\":{\"d\":[[[1]]]}}]}}", "{\"ключ\":\"☃ 𝄞 \\\"quoted\\\" \\\\ /\"}", "\"null\"", "\"[1]\"")) {
            JsonElement payload = JsonParser.parseString(text);
            sent.add(payload);
            Back.Answer answer = Back.invoke("called", "echo", payload, 60);
            Check.equal(answer.status(), 200, "a call with " + text);
            Check.equal(answer.body().getAsJsonObject().get("payload"), payload, "its answer");
            Check.equal(answer.body().getAsJsonObject().get("status").getAsInt(), 200, "and status");
        }
        Check.equal(came, sent, "what came to the device");
        // Without a payload there is nothing to parse, of which the SDK makes an object.
        JsonElement nothing = Back.invoke("called", "echo", null, 60).body().getAsJsonObject().get("payload");
        Check.check(nothing.isJsonNull() || nothing.equals(new JsonObject()), "a call without a payload", nothing);
        Matrix.pass("method-payloads");
    }

    private static void status(Peer peer) throws Exception {
        peer.client.subscribeToMethods((name, payload, context) -> name.equals("silent") ? null
            : new DirectMethodResponse(Integer.parseInt(name), null), null);
        for (int status : List.of(0, 1, 200, 201, 400, 404, 500, 10000)) {
            Back.Answer answer = Back.invoke("called", String.valueOf(status), null, 60);
            Check.equal(answer.status() + " " + answer.body().getAsJsonObject().get("status").getAsInt(), "200 " + status, "the device's own status " + status);
        }
        Check.equal(Back.invoke("called", "silent", null, 5).status(), 504, "a device that does not answer");
        Matrix.pass("method-status");
    }

    private static void plugAndPlay() throws Exception {
        String connectionString = Back.register("pnp", null);
        ClientOptions options = Matrix.options().modelId(MODEL).build();
        try (Peer peer = new Peer(connectionString, options, null)) {
            if (Matrix.HTTP) {
                Matrix.unsupported(peer::listen, "plug-and-play");
                return;
            }
            Message message = new Message("{\"temperature\":21}");
            message.setContentType("application/json");
            message.setContentEncoding("utf-8");
            message.setComponentName("thermostat1");
            peer.client.sendEvent(message);
            var system = Back.kept("pnp").get(0).getAsJsonObject("systemProperties");
            Check.equal(system.get("component").getAsString() + " " + system.get("modelId").getAsString(), "thermostat1 " + MODEL, "telemetry names component and model");
            Check.equal(Back.twin("pnp").get("modelId").getAsString(), MODEL, "the twin has the model");

            peer.client.subscribeToMethods((name, payload, context) -> name.equals("thermostat1*getMaxMinReport")
                ? new DirectMethodResponse(200, Map.of("maxTemp", 22.5, "since", payload.getPayload(String.class))) : new DirectMethodResponse(404, name), null);
            peer.client.subscribeToDesiredProperties((twin, context) -> {
                TwinCollection desired = twin.getDesiredProperties();
                TwinCollection component = (TwinCollection) desired.get("thermostat1");
                TwinCollection answer = new TwinCollection();
                answer.put("thermostat1", Map.of("__t", "c", "targetTemperature",
                    Map.of("value", component.get("targetTemperature"), "ac", 200, "av", desired.getVersion(), "ad", "done")));
                peer.client.updateReportedPropertiesAsync(answer, (status, response, failure, c) -> { }, null);
            }, null);
            TwinCollection report = new TwinCollection();
            report.put("thermostat1", Map.of("__t", "c", "maxTempSinceLastReboot", 20.5));
            peer.report(report);
            var twin = Back.must("GET", "/digitaltwins/pnp", null).getAsJsonObject();
            Check.equal(twin.getAsJsonObject("$metadata").get("$model").getAsString() + twin.getAsJsonObject("thermostat1").get("maxTempSinceLastReboot"),
                MODEL + "20.5", "a property of a component");
            Back.must("PATCH", "/digitaltwins/pnp", JsonParser.parseString("[{\"op\":\"add\",\"path\":\"/thermostat1/targetTemperature\",\"value\":23}]"));
            Check.eventually("a writable property is acknowledged", 60, () -> {
                var seen = Back.must("GET", "/digitaltwins/pnp", null).getAsJsonObject().getAsJsonObject("thermostat1");
                return seen.getAsJsonObject("$metadata").has("targetTemperature")
                    && seen.getAsJsonObject("$metadata").getAsJsonObject("targetTemperature").has("ackCode");
            });
            Back.Answer answer = Back.call("POST", "/digitaltwins/pnp/components/thermostat1/commands/getMaxMinReport?responseTimeoutInSeconds=60",
                JsonParser.parseString("\"2024-01-01\""));
            Check.equal(answer.status(), 200, "a command of a component");
            Check.equal(answer.body(), JsonParser.parseString("{\"maxTemp\":22.5,\"since\":\"2024-01-01\"}"), "its answer");
            Matrix.pass("plug-and-play");
        }
    }
}
