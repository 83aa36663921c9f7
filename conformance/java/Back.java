import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.StreamSupport;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** The back end of the device programs: the service's REST API and the emulator's own, without an SDK, so that JSON goes through as it is. */
final class Back {
    static final String HOST = Check.field(Check.SERVICE, "HostName");
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final Map<String, String> FEEDBACK = new ConcurrentHashMap<>();

    private Back() {
    }

    /** An answer; the body is JSON null when there was none. */
    record Answer(int status, JsonElement body, String etag) {
    }

    /** A request to the service's API, with the policy of the connection string. */
    static Answer call(String method, String path, JsonElement body) throws IOException {
        String url = "https://" + HOST + path + (path.contains("?") ? "&" : "?") + "api-version=2021-04-12";
        return send(method, url, token(), body);
    }

    /** One that must succeed. */
    static JsonElement must(String method, String path, JsonElement body) throws IOException {
        Answer answer = call(method, path, body);
        if (answer.status / 100 != 2) {
            throw new AssertionError(method + " " + path + ": " + answer);
        }
        return answer.body;
    }

    static JsonElement admin(String method, String path, JsonElement body) throws IOException {
        Answer answer = send(method, Check.ADMIN + path, null, body);
        if (answer.status / 100 != 2) {
            throw new AssertionError(method + " " + path + ": " + answer);
        }
        return answer.body;
    }

    private static Answer send(String method, String url, String authorization, JsonElement body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        // It does not know the method.
        connection.setRequestMethod(method.equals("PATCH") ? "POST" : method);
        if (method.equals("PATCH")) {
            connection.setRequestProperty("X-HTTP-Method-Override", method);
        }
        connection.setConnectTimeout(60_000);
        connection.setReadTimeout(120_000);
        if (authorization != null) {
            connection.setRequestProperty("Authorization", authorization);
        }
        if (!method.equals("GET")) {
            connection.setRequestProperty("If-Match", "*");
        }
        if (body != null) {
            connection.setRequestProperty("Content-Type", "application/json; charset=utf-8");
            connection.setDoOutput(true);
            try (var out = connection.getOutputStream()) {
                out.write(GSON.toJson(body).getBytes(StandardCharsets.UTF_8));
            }
        }
        int status = connection.getResponseCode();
        try (InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            String text = in == null ? "" : new String(in.readAllBytes(), StandardCharsets.UTF_8);
            return new Answer(status, text.isEmpty() ? JsonNull.INSTANCE : JsonParser.parseString(text), connection.getHeaderField("ETag"));
        }
    }

    private static String token() {
        try {
            String resource = URLEncoder.encode(HOST, StandardCharsets.UTF_8);
            long expiry = System.currentTimeMillis() / 1000 + 3600;
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(Base64.getDecoder().decode(Check.field(Check.SERVICE, "SharedAccessKey")), "HmacSHA256"));
            byte[] signature = mac.doFinal((resource + "\n" + expiry).getBytes(StandardCharsets.UTF_8));
            return "SharedAccessSignature sr=" + resource + "&sig=" + URLEncoder.encode(Base64.getEncoder().encodeToString(signature), StandardCharsets.UTF_8)
                + "&se=" + expiry + "&skn=" + Check.field(Check.SERVICE, "SharedAccessKeyName");
        } catch (java.security.GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    static JsonObject object(Object... namesAndValues) {
        JsonObject object = new JsonObject();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            Object value = namesAndValues[i + 1];
            object.add((String) namesAndValues[i], value instanceof JsonElement element ? element : GSON.toJsonTree(value));
        }
        return object;
    }

    /** Registers a device, or a module of one that is there, and returns its connection string. */
    static String register(String device, String module) throws IOException {
        JsonObject answer = create(device, module, object("authentication", object("type", "sas")));
        String key = answer.getAsJsonObject("authentication").getAsJsonObject("symmetricKey").get("primaryKey").getAsString();
        return identity(device, module) + ";SharedAccessKey=" + key;
    }

    /** The connection string of a device that is registered already. */
    static String connectionString(String device) throws IOException {
        JsonObject answer = must("GET", "/devices/" + device, null).getAsJsonObject();
        return identity(device, null) + ";SharedAccessKey="
            + answer.getAsJsonObject("authentication").getAsJsonObject("symmetricKey").get("primaryKey").getAsString();
    }

    /** Registers an edge device with the routes between its modules. */
    static void registerEdge(String device, JsonObject routes) throws IOException {
        create(device, null, object("capabilities", object("iotEdge", true)));
        JsonObject agent = object("schemaVersion", "1.1", "runtime", object("type", "docker", "settings", new JsonObject()), "systemModules", new JsonObject(),
            "modules", new JsonObject());
        JsonObject hub = object("schemaVersion", "1.1", "routes", routes, "storeAndForwardConfiguration", object("timeToLiveSecs", 7200));
        must("POST", "/devices/" + device + "/applyConfigurationContent", object("modulesContent",
            object("$edgeAgent", object("properties.desired", agent), "$edgeHub", object("properties.desired", hub))));
    }

    /** Registers a device whose certificate decides; without a thumbprint one of an authority. */
    static String registerCertified(String device, String thumbprint) throws IOException {
        JsonObject authentication = thumbprint == null ? object("type", "certificateAuthority")
            : object("type", "selfSigned", "x509Thumbprint", object("primaryThumbprint", thumbprint));
        create(device, null, object("authentication", authentication));
        return identity(device, null) + ";x509=true";
    }

    private static String identity(String device, String module) {
        return "HostName=" + HOST + ";DeviceId=" + device + (module == null ? "" : ";ModuleId=" + module);
    }

    private static JsonObject create(String device, String module, JsonObject body) throws IOException {
        body.addProperty("deviceId", device);
        String path = "/devices/" + device;
        if (module == null) {
            body.addProperty("status", "enabled");
        } else {
            body.addProperty("moduleId", module);
            path += "/modules/" + module;
        }
        String url = "https://" + HOST + path + "?api-version=2021-04-12";
        Answer answer = sendNew(url, body);
        if (answer.status / 100 != 2) {
            throw new AssertionError("registering " + path + ": " + answer);
        }
        return answer.body.getAsJsonObject();
    }

    /** A request without If-Match, which would ask for an identity that is there. */
    private static Answer sendNew(String url, JsonObject body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        connection.setRequestMethod("PUT");
        connection.setRequestProperty("Authorization", token());
        connection.setRequestProperty("Content-Type", "application/json; charset=utf-8");
        connection.setDoOutput(true);
        try (var out = connection.getOutputStream()) {
            out.write(GSON.toJson(body).getBytes(StandardCharsets.UTF_8));
        }
        int status = connection.getResponseCode();
        try (InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            return new Answer(status, JsonParser.parseString(new String(in.readAllBytes(), StandardCharsets.UTF_8)), null);
        }
    }

    /** The telemetry that the hub kept of a device. */
    static List<JsonObject> kept(String device) throws IOException {
        JsonArray messages = admin("GET", "/messages?limit=1000&device=" + device, null).getAsJsonObject().getAsJsonArray("messages");
        return StreamSupport.stream(messages.spliterator(), false).map(JsonElement::getAsJsonObject).toList();
    }

    static List<String> keptBodies(String device) throws IOException {
        return kept(device).stream().map(m -> m.get("body").getAsString()).toList();
    }

    /** Sends a message to a device, or to device/modules/module, and asks for feedback. */
    static void c2d(String to, String body, String messageId, JsonObject properties) throws IOException {
        admin("POST", "/devices/" + to + "/c2d", object("body", body, "messageId", messageId, "correlationId", "c-" + messageId, "ack", "full",
            "applicationProperties", properties));
    }

    static int waiting(String device) throws IOException {
        return must("GET", "/devices/" + device, null).getAsJsonObject().get("cloudToDeviceMessageCount").getAsInt();
    }

    /** What became of a message, as feedback has told so far; null when it has not. */
    static synchronized String outcome(String messageId) throws IOException {
        while (!FEEDBACK.containsKey(messageId)) {
            Answer answer = call("GET", "/messages/serviceBound/feedback", null);
            if (answer.status != 200) {
                return null;
            }
            for (JsonElement record : answer.body.getAsJsonArray()) {
                FEEDBACK.put(record.getAsJsonObject().get("originalMessageId").getAsString(), record.getAsJsonObject().get("statusCode").getAsString());
            }
            must("DELETE", "/messages/serviceBound/feedback/" + answer.etag.replace("\"", ""), null);
        }
        return FEEDBACK.get(messageId);
    }

    static JsonObject twin(String of) throws IOException {
        return must("GET", "/twins/" + of, null).getAsJsonObject();
    }

    /** Changes desired properties of a device or of device/modules/module. */
    static void desire(String of, JsonObject patch) throws IOException {
        must("PATCH", "/twins/" + of, object("properties", object("desired", patch)));
    }

    static JsonElement reported(String of, String name) throws IOException {
        return twin(of).getAsJsonObject("properties").getAsJsonObject("reported").get(name);
    }

    /** Calls a method. A payload that is null is left out. */
    static Answer invoke(String of, String method, JsonElement payload, int responseSeconds) throws IOException {
        JsonObject body = object("methodName", method, "responseTimeoutInSeconds", responseSeconds, "connectTimeoutInSeconds", 5);
        if (payload != null) {
            body.add("payload", payload);
        }
        return call("POST", "/twins/" + of + "/methods", body);
    }
}
