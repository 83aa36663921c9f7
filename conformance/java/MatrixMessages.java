import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Telemetry of every kind, and messages from the cloud. */
final class MatrixMessages {
    private MatrixMessages() {
    }

    static void telemetry() throws Exception {
        String connectionString = Back.register("teller", null);
        try (Peer peer = new Peer(connectionString)) {
            plain(peer);
            properties(peer);
            batch(peer);
        }
        tooLarge();
    }

    private static void plain(Peer peer) throws Exception {
        byte[] binary = new byte[256];
        for (int i = 0; i < binary.length; i++) {
            binary[i] = (byte) i;
        }
        peer.client.sendEvent(new Message("the first"));
        peer.client.sendEvent(new Message(binary));
        peer.client.sendEvent(new Message("юникод ☃ 𝄞"));
        for (int i = 0; i < 50; i++) {
            peer.begin("numbered " + i);
        }
        List<String> numbered = peer.acknowledged("telemetry");
        List<JsonObject> kept = Back.kept("teller");
        Check.equal(kept.size(), 53, "each once");
        Check.equal(List.of(kept.get(0).get("body").getAsString(), kept.get(2).get("body").getAsString()), List.of("the first", "юникод ☃ 𝄞"), "text");
        Check.check(Arrays.equals(Base64.getDecoder().decode(kept.get(1).get("body").getAsString()), binary), "binary", kept.get(1));
        Check.equal(kept.subList(3, 53).stream().map(m -> m.get("body").getAsString()).toList(), numbered, "in order");
        Check.check(kept.stream().map(m -> m.get("partition").getAsInt()).distinct().count() == 1, "in one partition");
        if (Matrix.MQTT) {
            Check.refused("the SDK refuses an empty one by itself", IotHubClientException.class, e -> e.getStatusCode() == IotHubStatusCode.BAD_FORMAT,
                () -> peer.client.sendEvent(new Message("")));
        } else {
            peer.client.sendEvent(new Message(""));
            Check.equal(Back.kept("teller").get(53).get("body").getAsString(), "", "an empty one");
        }
        Matrix.pass("telemetry");
    }

    private static void properties(Peer peer) throws Exception {
        Map<String, String> awkward = new TreeMap<>();
        awkward.put("plain", "value");
        if (Matrix.HTTP) {
            // They travel as headers there, whose names have no case and no spaces, and which Java takes in ASCII alone.
            awkward.put("with-dash", "a b");
            awkward.put("punctuation", "a=b&c/d?e%f+g#h$'\"\\");
        } else {
            awkward.put("a b", "c d");
            awkward.put("slash/key", "/leading/and/trailing/");
            awkward.put("equals=key", "a=b=c");
            awkward.put("ampersand&key", "x&y");
            awkward.put("percent%key", "100%25%");
            awkward.put("plus+key", "1+1");
            awkward.put("question?key", "what?#$");
            awkward.put("ключ", "значение ☃ 𝄞");
            awkward.put("quote", "\"'\\");
            awkward.put("MixedCase", "Kept");
        }
        Message full = new Message("{\"temperature\": 21.5}");
        awkward.forEach(full::setProperty);
        full.setMessageId("message-1");
        full.setCorrelationId("correlation/1 more");
        full.setUserId("somebody");
        full.setContentType("application/json");
        full.setContentEncoding("utf-8");
        full.setCreationTimeUTC(new Date(1_600_000_000_000L));
        peer.client.sendEvent(full);
        Message security = new Message("alarm");
        security.setAsSecurityMessage();
        peer.client.sendEvent(security);

        List<JsonObject> kept = Back.kept("teller");
        JsonObject got = kept.get(kept.size() - 2);
        JsonObject application = got.getAsJsonObject("applicationProperties");
        Map<String, String> seen = new TreeMap<>();
        application.entrySet().forEach(e -> seen.put(e.getKey(), e.getValue().getAsString()));
        seen.remove("iothub-connection-device-id"); // the SDK's own, over AMQP
        Check.equal(seen, awkward, "application properties");
        JsonObject system = got.getAsJsonObject("systemProperties");
        Check.equal(Arrays.asList(text(system, "messageId"), text(system, "correlationId"), text(system, "contentType"), text(system, "contentEncoding")),
            List.of("message-1", "correlation/1 more", "application/json", "utf-8"), "system properties");
        if (!Matrix.AMQP) { // the SDK leaves it out there
            Check.equal(text(system, "userId"), "somebody", "the user's ID");
        }
        Check.equal(text(system, "connectionDeviceId"), "teller", "whose it is");
        Check.check(text(system, "creationTime") != null && text(system, "creationTime").startsWith("2020-09-13"), "when it was made", system);
        Check.equal(text(kept.get(kept.size() - 1).getAsJsonObject("systemProperties"), "interfaceId"), "urn:azureiot:Security:SecurityAgent:1", "a security message");
        Matrix.pass("telemetry-properties");
    }

    private static String text(JsonObject object, String name) {
        return object.has(name) ? object.get(name).getAsString() : null;
    }

    private static void batch(Peer peer) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Message message = new Message("in a batch " + i);
            message.setProperty("Number", String.valueOf(i));
            messages.add(message);
        }
        if (!Matrix.HTTP) {
            Matrix.unsupported(() -> peer.client.sendEvents(messages), "telemetry-batch");
            return;
        }
        int before = Back.kept("teller").size();
        peer.client.sendEvents(messages);
        List<JsonObject> kept = Back.kept("teller");
        Check.equal(kept.size(), before + 20, "each of the batch is a message");
        for (int i = 0; i < 20; i++) {
            JsonObject one = kept.get(before + i);
            Check.equal(List.of(one.get("body").getAsString(), one.getAsJsonObject("applicationProperties").get("Number").getAsString()),
                List.of("in a batch " + i, String.valueOf(i)), "message of a batch " + i);
        }
        Matrix.pass("telemetry-batch");
    }

    private static void tooLarge() throws Exception {
        String connectionString = Back.register("large", null);
        List<IotHubClientException> failures = new CopyOnWriteArrayList<>();
        try (Peer peer = Peer.once(connectionString)) {
            peer.client.sendEvent(new Message(new byte[255 * 1024]));
            Check.equal(Back.kept("large").size(), 1, "255 KB are accepted");
            peer.client.sendEventAsync(new Message(new byte[257 * 1024]), (message, failure, context) -> failures.add(failure), null);
            // MQTT knows no other answer than the end of the connection.
            Check.eventually("257 KB are not", 60, () -> Matrix.MQTT ? peer.losses() > 0 : !failures.isEmpty());
            if (!Matrix.MQTT) {
                peer.client.sendEvent(new Message("still there"));
                Check.equal(peer.losses(), 0L, "the connection goes on");
            }
        }
        Check.equal(failures.stream().map(IotHubClientException::getStatusCode).toList(),
            List.of(Matrix.MQTT ? IotHubStatusCode.MESSAGE_CANCELLED_ONCLOSE : IotHubStatusCode.REQUEST_ENTITY_TOO_LARGE), "the message failed");
        try (Peer peer = new Peer(connectionString)) {
            peer.client.sendEvent(new Message("back again"));
        }
        Check.equal(Back.keptBodies("large").subList(1, Matrix.MQTT ? 2 : 3), Matrix.MQTT ? List.of("back again") : List.of("still there", "back again"),
            "nothing is kept of it");
        Matrix.pass("telemetry-too-large");
    }

    static void c2d() throws Exception {
        String connectionString = Back.register("taker", null);
        List<Integer> abandoned = new ArrayList<>();
        try (Peer peer = new Peer(connectionString, Matrix.options().build(), (message, context) -> {
            switch (Peer.text(message)) {
                case "abandon":
                    abandoned.add(1);
                    return abandoned.size() == 1 ? IotHubMessageResult.ABANDON : IotHubMessageResult.COMPLETE;
                case "reject":
                    return IotHubMessageResult.REJECT;
                default:
                    return IotHubMessageResult.COMPLETE;
            }
        })) {
            Back.c2d("taker", "complete", "m-complete", Back.object("key", "значение & more", "a b", "c=d"));
            Check.eventually("a message arrives", 60, () -> peer.got("complete"));
            Back.c2d("taker", "abandon", "m-abandon", new JsonObject());
            Back.c2d("taker", "reject", "m-reject", new JsonObject());
            Check.eventually("all of them do", 60, () -> peer.got("abandon") && peer.got("reject"));
            Message first = peer.messages.get(0);
            Check.equal(first.getMessageId() + " " + first.getCorrelationId(), "m-complete c-m-complete", "its IDs");
            if (!Matrix.HTTP) {
                Check.equal(first.getProperty("key") + first.getProperty("a b"), "значение & morec=d", "its properties");
            }
            Check.eventually("feedback on each", 60, () -> Back.outcome("m-complete") != null && Back.outcome("m-abandon") != null && Back.outcome("m-reject") != null);
            Check.eventually("nothing waits", 60, () -> Back.waiting("taker") == 0);
            Check.equal(Back.outcome("m-complete"), "Success", "completed");
            Check.equal(peer.messages.stream().filter(m -> Peer.text(m).equals("complete")).count(), 1L, "it came once");
            Matrix.pass("c2d-complete");

            long deliveries = peer.messages.stream().filter(m -> Peer.text(m).equals("abandon")).count();
            if (Matrix.MQTT) {
                // What the documentation of IotHubMessageResult says: the SDK acknowledges whatever the program returns.
                Check.equal(deliveries + Back.outcome("m-abandon") + Back.outcome("m-reject"), "1SuccessSuccess", "over MQTT every result completes");
                for (String result : List.of("ABANDON", "REJECT")) {
                    Check.notSupported(Matrix.TRANSPORT, "c2d-" + result.toLowerCase(Locale.ROOT),
                        "the SDK completes the message; IotHubMessageResult: These states are only valid for AMQP messages.");
                }
            } else {
                Check.equal(deliveries + Back.outcome("m-abandon"), "2Success", "an abandoned one came again");
                Matrix.pass("c2d-abandon");
                Check.equal(Back.outcome("m-reject"), "Rejected", "a rejected one");
                Check.equal(peer.messages.stream().filter(m -> Peer.text(m).equals("reject")).count(), 1L, "did not");
                Matrix.pass("c2d-reject");
            }
            Matrix.pass("c2d-feedback");
        }
    }
}
