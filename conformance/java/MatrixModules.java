import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Modules: what devices do, as modules of one. */
final class MatrixModules {
    private MatrixModules() {
    }

    static void run() throws Exception {
        Back.register("edge", null);
        String connectionString = Back.register("edge", "m");
        if (Matrix.HTTP) {
            Matrix.unsupported(() -> new ModuleClient(connectionString, Matrix.PROTOCOL), "module-telemetry", "module-twin", "module-methods", "module-input");
            return;
        }
        try (Peer module = new Peer(connectionString)) {
            telemetry(module);
            twin(module);
            methods(module);
            Back.c2d("edge/modules/m", "to a module", "m-module", new JsonObject());
            Check.eventually("a message from the cloud to a module", 60, () -> module.got("to a module"));
        }
        input();
    }

    private static void telemetry(Peer module) throws Exception {
        Message message = new Message("from a module");
        message.setProperty("a b", "c/d");
        message.setMessageId("id-1");
        module.client.sendEvent(message);
        ((ModuleClient) module.client).sendEvent(new Message("by an output"), "out1");
        List<JsonObject> kept = Back.kept("edge");
        Check.equal(kept.stream().map(m -> m.get("module").getAsString() + ": " + m.get("body").getAsString()).toList(),
            List.of("m: from a module", "m: by an output"), "a module's messages");
        Check.equal(kept.get(0).getAsJsonObject("applicationProperties").get("a b").getAsString()
            + kept.get(0).getAsJsonObject("systemProperties").get("messageId").getAsString()
            + kept.get(0).getAsJsonObject("systemProperties").get("connectionModuleId").getAsString(), "c/did-1m", "their properties");
        Matrix.pass("module-telemetry");
    }

    private static void twin(Peer module) throws Exception {
        Back.desire("edge/modules/m", Back.object("early", 1));
        module.client.subscribeToDesiredProperties((twin, context) -> module.desired.add(twin.getDesiredProperties()), null);
        Check.equal(((Number) module.twin().getDesiredProperties().get("early")).intValue(), 1, "a module's twin");
        module.report("state", "fine");
        Check.equal(Back.reported("edge/modules/m", "state").getAsString(), "fine", "what it reports");
        Check.check(Back.reported("edge", "state") == null, "not for its device");
        Back.desire("edge/modules/m", Back.object("later", "☃"));
        Check.eventually("a desired change of a module", 60, () -> module.desired.stream().anyMatch(d -> "☃".equals(d.get("later"))));
        Back.desire("edge", Back.object("other", 1));
        Check.check(module.desired.stream().noneMatch(d -> d.containsKey("other")), "none of its device");
        Matrix.pass("module-twin");
    }

    private static void methods(Peer module) throws Exception {
        module.client.subscribeToMethods((name, payload, context) -> new DirectMethodResponse(201, Back.object(name, payload.getPayloadAsJsonElement())), null);
        Back.Answer answer = Back.invoke("edge/modules/m", "run", JsonParser.parseString("[1,{\"a\":2}]"), 60);
        Check.equal(answer.status(), 200, "a method of a module");
        Check.equal(answer.body(), JsonParser.parseString("{\"status\":201,\"payload\":{\"run\":[1,{\"a\":2}]}}"), "its answer");
        Matrix.pass("module-methods");
    }

    /** A message from one module of an edge device to an input of another, by the device's routes; the modules dial its name. */
    private static void input() throws Exception {
        Back.registerEdge("gateway", Back.object(
            "pictures", "FROM /messages/modules/camera/outputs/picture WHERE $body.size > 10 INTO BrokeredEndpoint(\"/modules/viewer/inputs/pictures\")",
            "alarms", "FROM /messages/modules/camera/outputs/alarm INTO $upstream"));
        String gateway = ";GatewayHostName=" + Back.HOST;
        ClientOptions options = Matrix.options().build();
        List<String> came = new CopyOnWriteArrayList<>();
        try (Peer camera = new Peer(Back.register("gateway", "camera") + gateway);
            Peer viewer = new Peer(Back.register("gateway", "viewer") + gateway, options, null, client -> ((ModuleClient) client).setMessageCallback("pictures",
                (message, context) -> {
                    came.add(message.getInputName() + " " + message.getMessageId() + " " + Peer.text(message) + " " + message.getProperty("a b"));
                    return IotHubMessageResult.COMPLETE;
                }, null))) {
            for (int size : List.of(11, 9, 12)) {
                Message picture = new Message("{\"size\":" + size + "}");
                picture.setMessageId("picture-" + size);
                picture.setContentType("application/json");
                picture.setContentEncoding("utf-8");
                picture.setProperty("a b", "c/d&e");
                ((ModuleClient) camera.client).sendEvent(picture, "picture");
            }
            ((ModuleClient) camera.client).sendEvent(new Message("fire"), "alarm");
            Check.eventually("messages at the input of a module", 60, () -> came.size() == 2);
            Check.equal(came, List.of("pictures picture-11 {\"size\":11} c/d&e", "pictures picture-12 {\"size\":12} c/d&e"), "those that the route lets through");
            Check.equal(viewer.messages.size(), 0, "no other");
            Check.equal(Back.keptBodies("gateway"), List.of("fire"), "and what goes upstream");
        }
        Matrix.pass("module-input");
    }
}
