import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Twins: what the device sees, says and hears. */
final class MatrixTwins {
    private MatrixTwins() {
    }

    static void run() throws Exception {
        String connectionString = Back.register("twin", null);
        Back.desire("twin", Back.object("before", JsonParser.parseString("{\"connecting\":[1,\"два\",true]}")));
        try (Peer peer = new Peer(connectionString)) {
            if (Matrix.HTTP) {
                Matrix.unsupported(() -> peer.client.subscribeToDesiredProperties((twin, context) -> { }, null),
                    "twin-get", "twin-reported", "twin-desired-online", "twin-desired-offline");
                return;
            }
            peer.client.subscribeToDesiredProperties((twin, context) -> peer.desired.add(twin.getDesiredProperties()), null);
            get(peer);
            reported(peer);
            online(peer);
        }
        offline(connectionString);
    }

    private static void get(Peer peer) throws Exception {
        Twin twin = peer.twin();
        Check.equal(twin.getDesiredProperties().toJsonElement(), JsonParser.parseString("{\"before\":{\"connecting\":[1,\"два\",true]}}"), "desired properties");
        Check.equal(twin.getDesiredProperties().getVersion(), 2, "with their version");
        Check.equal(twin.getReportedProperties().toJsonElement(), new JsonObject(), "nothing is reported yet");
        Matrix.pass("twin-get");
    }

    private static void reported(Peer peer) throws Exception {
        TwinCollection report = new TwinCollection();
        report.put("text", "☃");
        report.put("number", 2.5);
        report.put("flag", true);
        report.put("nested", Map.of("a", Map.of("b", 1), "gone", 1));
        report.put("list", List.of(1, 2, 3));
        int first = peer.report(report);
        JsonObject seen = Back.twin("twin").getAsJsonObject("properties").getAsJsonObject("reported");
        Check.equal(first, seen.get("$version").getAsInt(), "the new version");
        TwinCollection change = new TwinCollection();
        change.put("text", null);
        TwinCollection nested = new TwinCollection();
        nested.put("gone", null);
        change.put("nested", nested);
        int second = peer.report(change);
        Check.check(second > first, "versions rise", first, second);
        seen = Back.twin("twin").getAsJsonObject("properties").getAsJsonObject("reported");
        seen.remove("$version");
        seen.remove("$metadata");
        Check.equal(seen, JsonParser.parseString("{\"number\":2.5,\"flag\":true,\"nested\":{\"a\":{\"b\":1}},\"list\":[1,2,3]}"), "what is reported, and what is removed");
        Check.equal(peer.twin().getReportedProperties().get("number"), 2.5, "the device sees it");
        Matrix.pass("twin-reported");
    }

    private static void online(Peer peer) throws Exception {
        Back.desire("twin", JsonParser.parseString("{\"first\":{\"deep\":[1,{\"x\":2}],\"text\":\"☃\"},\"before\":null}").getAsJsonObject());
        Check.eventually("a desired change arrives", 60, () -> peer.desired.size() == 1);
        for (int i = 0; i < 5; i++) {
            Back.desire("twin", Back.object("counter", i));
        }
        Check.eventually("and all others", 60, () -> peer.desired.size() == 6);
        TwinCollection first = peer.desired.get(0);
        Check.equal(Arrays.asList(first.containsKey("before"), first.get("before"), ((TwinCollection) first.get("first")).get("text")),
            Arrays.asList(true, null, "☃"), "with what was removed");
        Check.equal(peer.desired.stream().map(TwinCollection::getVersion).toList(), List.of(3, 4, 5, 6, 7, 8), "in order, with their versions");
        Check.equal(peer.desired.stream().skip(1).map(d -> ((Number) d.get("counter")).intValue()).toList(), List.of(0, 1, 2, 3, 4), "and their values");
        Matrix.pass("twin-desired-online");
    }

    private static void offline(String connectionString) throws Exception {
        Check.eventually("the device is away", 60, () -> Back.must("GET", "/devices/twin", null).getAsJsonObject().get("connectionState").getAsString().equals("Disconnected"));
        Back.desire("twin", Back.object("meanwhile", "changed"));
        try (Peer peer = new Peer(connectionString)) {
            peer.client.subscribeToDesiredProperties((twin, context) -> peer.desired.add(twin.getDesiredProperties()), null);
            TwinCollection desired = peer.twin().getDesiredProperties();
            Check.equal(desired.get("meanwhile") + " " + desired.getVersion(), "changed 9", "what was changed meanwhile");
            Back.desire("twin", Back.object("again", "changed"));
            Check.eventually("and it hears of changes again", 60, () -> peer.desired.stream().anyMatch(d -> d.containsKey("again")));
        }
        Matrix.pass("twin-desired-offline");
    }
}
