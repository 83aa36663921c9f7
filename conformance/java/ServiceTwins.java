import com.google.gson.JsonParser;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.query.QueryPageOptions;
import com.microsoft.azure.sdk.iot.service.query.RawQueryResponse;
import com.microsoft.azure.sdk.iot.service.query.SqlQueryBuilder;
import com.microsoft.azure.sdk.iot.service.query.TwinQueryResponse;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** TwinClient and QueryClient. */
final class ServiceTwins {
    private static final TwinClient TWINS = new TwinClient(Check.SERVICE);
    private static final RegistryClient REGISTRY = new RegistryClient(Check.SERVICE);

    private ServiceTwins() {
    }

    static void run() throws Exception {
        for (int i = 0; i < 5; i++) {
            REGISTRY.addDevice(new Device("t" + i));
        }
        REGISTRY.addModule(new Module("t0", "m"));
        twins();
        moduleTwins();
        queries();
        for (int i = 0; i < 5; i++) {
            REGISTRY.removeDevice("t" + i);
        }
    }

    private static void twins() throws Exception {
        Twin twin = TWINS.get("t0");
        Check.equal(List.of(twin.getDeviceId(), twin.getVersion(), twin.getDesiredProperties().getVersion(), twin.getReportedProperties().getVersion()),
            List.of("t0", 2, 1, 1), "a new twin");
        Check.equal(List.of(twin.getConnectionState().toLowerCase(), twin.getStatus().toString().toLowerCase(), twin.getCloudToDeviceMessageCount(),
            twin.getCapabilities().isIotEdge()), List.of("disconnected", "enabled", 0, false), "what it says about the device");

        twin = new Twin("t0");
        twin.getTags().put("site", "north");
        twin.getDesiredProperties().put("interval", 5);
        twin.getDesiredProperties().put("nested", Map.of("a", List.of(1, "two", true), "b", Map.of("c", 1.5)));
        twin = TWINS.patch(twin);
        Check.equal(List.of(twin.getTags().get("site"), ((Number) twin.getDesiredProperties().get("interval")).intValue(),
            twin.getDesiredProperties().getVersion()), List.of("north", 5, 2), "a patched twin");
        Check.equal(twin.getDesiredProperties().toJsonObject().get("nested"), JsonParser.parseString("{\"a\":[1,\"two\",true],\"b\":{\"c\":1.5}}"), "nested values");
        Check.check(twin.getDesiredProperties().getTwinMetadata("interval").getLastUpdated() != null, "metadata");

        Twin change = new Twin("t0");
        change.getDesiredProperties().put("interval", null);
        change.getTags().put("floor", 2);
        twin = TWINS.patch(change, twin.getETag());
        Check.check(!twin.getDesiredProperties().containsKey("interval") && twin.getDesiredProperties().containsKey("nested"), "null removes", twin);
        Check.equal(twin.getTags().keySet(), Set.of("site", "floor"), "tags are merged");
        Service.refused("a patch with an old etag", IotHubPreconditionFailedException.class, 412001, () -> TWINS.patch(change, "AAAAAAAAAAE="));
        Service.refused("a replacement with an old etag", IotHubPreconditionFailedException.class, 412001, () -> TWINS.replace(change, "AAAAAAAAAAE="));
        Twin whole = new Twin("t0");
        whole.getTags().put("only", "this");
        whole.getDesiredProperties().put("also", "that");
        twin = TWINS.replace(whole, twin.getETag());
        Check.equal(List.of(twin.getTags().keySet(), twin.getDesiredProperties().keySet()), List.of(Set.of("only"), Set.of("also")), "a replaced twin");
        Check.equal(TWINS.replace(whole).getDesiredProperties().keySet(), Set.of("also"), "replaced whatever it was");

        String key = REGISTRY.getDevice("t0").getPrimaryKey();
        try (ServiceDevice device = new ServiceDevice(Service.connectionString("t0", null, key), IotHubClientProtocol.MQTT, "dtmi:com:example:Thing;1")) {
            device.report("firmware", "1.2");
            Twin reported = TWINS.get("t0");
            Check.equal(List.of(reported.getReportedProperties().get("firmware"), reported.getConnectionState().toLowerCase(), reported.getModelId()),
                List.of("1.2", "connected", "dtmi:com:example:Thing;1"), "what the device reported");
        }

        Service.refused("the twin of nobody", IotHubNotFoundException.class, 404001, () -> TWINS.get("nobody"));
        Service.refused("a patch of nobody's twin", IotHubNotFoundException.class, 404001, () -> TWINS.patch(named("nobody", "a", 1)));
        Service.refused("a replacement of nobody's twin", IotHubNotFoundException.class, 404001, () -> TWINS.replace(named("nobody", "a", 1)));
        Service.refused("a name with a dot", IotHubBadFormatException.class, 0, () -> TWINS.patch(named("t0", "a.b", 1)));
        Service.refused("a value that is too long", IotHubBadFormatException.class, 0, () -> TWINS.patch(named("t0", "long", "x".repeat(5000))));
    }

    private static Twin named(String device, String property, Object value) {
        Twin twin = new Twin(device);
        twin.getDesiredProperties().put(property, value);
        return twin;
    }

    private static void moduleTwins() throws Exception {
        Twin twin = new Twin("t0", "m");
        twin.getDesiredProperties().put("mode", "fast");
        twin.getTags().put("role", "reader");
        twin = TWINS.patch(twin);
        Check.equal(List.of(twin.getDeviceId(), twin.getModuleId(), twin.getDesiredProperties().get("mode")), List.of("t0", "m", "fast"), "a module's twin");
        Twin whole = new Twin("t0", "m");
        whole.getDesiredProperties().put("mode", "slow");
        Check.equal(TWINS.replace(whole).getTags().keySet(), Set.of(), "replaced");
        Check.equal(TWINS.get("t0", "m").getDesiredProperties().get("mode"), "slow", "and kept");
        Service.refused("the twin of a module that is not there", IotHubNotFoundException.class, 404010, () -> TWINS.get("t0", "nobody"));
    }

    private static void queries() throws Exception {
        QueryClient client = new QueryClient(Check.SERVICE);
        for (int i = 0; i < 5; i++) {
            Twin twin = new Twin("t" + i);
            twin.getTags().put("site", i < 3 ? "north" : "south");
            twin.getDesiredProperties().put("number", i);
            TWINS.replace(twin);
        }
        Set<String> all = new TreeSet<>(Set.of("t0", "t1", "t2", "t3", "t4"));
        String everyone = "SELECT * FROM devices WHERE STARTSWITH(deviceId, 't')";
        Check.eventually("all twins by a query", () -> ids(client.queryTwins(everyone)).equals(all));
        Check.equal(ids(TWINS.query(everyone)), all, "by the twin client");
        TwinQueryResponse north = client.queryTwins(SqlQueryBuilder.createSqlQuery("*", SqlQueryBuilder.FromType.DEVICES, "tags.site = 'north'", null));
        Check.check(north.hasNext(), "there is a page");
        Twin first = north.next();
        Check.check(first.getTags().get("site").equals("north") && first.getDesiredProperties().containsKey("number"), "a whole twin", first);
        Check.equal(ids(north).size(), 2, "and the two others");

        // By pages of two, and from where another client stopped.
        QueryPageOptions two = QueryPageOptions.builder().pageSize(2).build();
        TwinQueryResponse pages = client.queryTwins(everyone, two);
        List<String> some = new ArrayList<>(List.of(pages.next(two).getDeviceId(), pages.next(two).getDeviceId()));
        String token = pages.getContinuationToken();
        Check.check(token != null, "a continuation token");
        TwinQueryResponse rest = new QueryClient(Check.SERVICE).queryTwins(everyone, QueryPageOptions.builder().pageSize(2).continuationToken(token).build());
        some.addAll(ids(rest));
        Check.equal(new TreeSet<>(some), all, "pages together are everything");
        Check.equal(some.size(), 5, "and nothing twice");

        RawQueryResponse counts = client.queryRaw(
            "SELECT tags.site AS site, COUNT() AS number FROM devices WHERE STARTSWITH(deviceId, 't') GROUP BY tags.site");
        Set<String> rows = new TreeSet<>();
        while (counts.hasNext()) {
            var row = JsonParser.parseString(counts.next()).getAsJsonObject();
            rows.add(row.get("site").getAsString() + row.get("number").getAsInt());
        }
        Check.equal(rows, new TreeSet<>(Set.of("north3", "south2")), "an aggregate");
        RawQueryResponse modules = client.queryRaw("SELECT deviceId, moduleId FROM devices.modules WHERE deviceId = 't0'");
        Check.equal(JsonParser.parseString(modules.next()), JsonParser.parseString("{\"deviceId\":\"t0\",\"moduleId\":\"m\"}"), "modules");
        Check.check(!modules.hasNext(), "one of them");
        Check.check(!client.queryTwins("SELECT * FROM devices WHERE deviceId = 'nobody'").hasNext(), "nothing found");
        Service.refused("a query with a fault", IotHubBadFormatException.class, 0, () -> client.queryTwins("SELECT * FROM devices WHERE = 5"));
        Service.refused("a query of something else", IotHubBadFormatException.class, 0, () -> client.queryRaw("SELECT * FROM elsewhere"));
    }

    private static Set<String> ids(TwinQueryResponse response) throws IotHubException, IOException {
        Set<String> ids = new TreeSet<>();
        while (response.hasNext()) {
            ids.add(response.next().getDeviceId());
        }
        return ids;
    }
}
