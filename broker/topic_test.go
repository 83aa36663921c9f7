package broker

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

func testDevice() iothub.ID { return iothub.ID{DeviceID: "dev-1"} }

func testModule() iothub.ID { return iothub.ID{DeviceID: "dev-1", ModuleID: "mod"} }

func TestParsePublishTopic(t *testing.T) {
	version := func(n int64) *int64 { return &n }
	tests := []struct {
		name  string
		id    iothub.ID
		topic string
		want  deviceTopic
	}{
		{"Python, empty bag", testDevice(), "devices/dev-1/messages/events/", deviceTopic{}},
		{"no slash at the end", testDevice(), "devices/dev-1/messages/events", deviceTopic{}},
		{"Python", testDevice(), "devices/dev-1/messages/events/%24.mid=1&k=v", deviceTopic{bag: "%24.mid=1&k=v"}},
		{"slash in front", testDevice(), "/devices/dev-1/messages/events/k=v", deviceTopic{bag: "k=v"}},
		{"question mark", testDevice(), "devices/dev-1/messages/events/?k=v", deviceTopic{bag: "?k=v"}},
		{"C#, slash behind", testDevice(), "devices/dev-1/messages/events/$.mid=1&k=v/", deviceTopic{bag: "$.mid=1&k=v/"}},
		{"module", testModule(), "devices/dev-1/modules/mod/messages/events/%24.on=out", deviceTopic{bag: "%24.on=out"}},
		{"encoded device ID", iothub.ID{DeviceID: "a+b#c"}, "devices/a%2Bb%23c/messages/events/", deviceTopic{}},
		{"percent in the device ID", iothub.ID{DeviceID: "50%25"}, "devices/50%25/messages/events/", deviceTopic{}},
		{"twin get", testDevice(), "$iothub/twin/GET/?$rid=1", deviceTopic{kind: topicTwinGet, rid: "1"}},
		{"twin get, rid with an escape stays", testDevice(), "$iothub/twin/GET/?$rid=a%20b", deviceTopic{kind: topicTwinGet, rid: "a%20b"}},
		{"report", testDevice(), "$iothub/twin/PATCH/properties/reported/?$rid=9f", deviceTopic{kind: topicTwinReported, rid: "9f"}},
		{"Java report", testDevice(), "$iothub/twin/PATCH/properties/reported/?$rid=2&$version=7", deviceTopic{kind: topicTwinReported, rid: "2", version: version(7)}},
		{"method response", testDevice(), "$iothub/methods/res/200/?$rid=r-1", deviceTopic{kind: topicMethodResponse, rid: "r-1", status: 200}},
		{"method response of a module", testModule(), "$iothub/methods/res/-3/?$rid=1", deviceTopic{kind: topicMethodResponse, rid: "1", status: -3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parsePublishTopic(test.id, test.topic)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(deviceTopic{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParsePublishTopicRefuses(t *testing.T) {
	tests := []struct {
		id    iothub.ID
		topic string
	}{
		{testDevice(), ""},
		{testDevice(), "hello"},
		{testDevice(), "devices"},
		{testDevice(), "devices/dev-1"},
		{testDevice(), "devices/dev-1/messages"},
		{testDevice(), "devices/dev-1/messages/eventsx"},
		{testDevice(), "devices/dev-1/messages/devicebound/"},
		{testDevice(), "devices/DEV-1/messages/events/"},
		{testDevice(), "devices/dev-2/messages/events/"},
		{testDevice(), "devices/dev-1/modules/mod/messages/events/"},
		{testModule(), "devices/dev-1/messages/events/"},
		{testModule(), "devices/dev-1/modules/other/messages/events/"},
		{testModule(), "devices/dev-1/modules/mod"},
		{testDevice(), "//devices/dev-1/messages/events/"},
		{testDevice(), "$iothub/twin/GET/"},
		{testDevice(), "$iothub/twin/GET/?"},
		{testDevice(), "$iothub/twin/GET/?rid=1"},
		{testDevice(), "$iothub/twin/GET?$rid=1"},
		{testDevice(), "$iothub/twin/PUT/?$rid=1"},
		{testDevice(), "$iothub/twin/PATCH/properties/desired/?$rid=1"},
		{testDevice(), "$iothub/twin/PATCH/properties/reported/?$version=x"},
		{testDevice(), "$iothub/methods/res/abc/?$rid=1"},
		{testDevice(), "$iothub/methods/res/200"},
		{testDevice(), "$iothub/methods/res/99999999999/?$rid=1"},
		{testDevice(), "$iothub/methods/POST/reboot/?$rid=1"},
		{testDevice(), "$SYS/broker/version"},
	}
	for _, test := range tests {
		if got, err := parsePublishTopic(test.id, test.topic); err == nil {
			t.Errorf("%s: %q parsed as %+v", test.id, test.topic, got)
		} else if iothub.ErrorCode(err) == 0 {
			t.Errorf("%q: %v carries no code", test.topic, err)
		}
	}
}

func TestParseBag(t *testing.T) {
	tests := []struct {
		name, bag  string
		system     iothub.SystemProperties
		properties iothub.Properties
	}{
		{name: "empty"},
		{name: "question mark alone", bag: "?"},
		{name: "slash alone", bag: "/"},
		{
			name: "Python", bag: "%24.mid=m%201&%24.cid=c&%24.uid=u&%24.ct=application%2Fjson&%24.ce=utf-8&%24.exp=2024-01-01T00%3A00%3A00&a%20b=c%2Fd%26e",
			system:     iothub.SystemProperties{MessageID: "m 1", CorrelationID: "c", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8", Expiry: "2024-01-01T00:00:00"},
			properties: iothub.Properties{{Name: "a b", Value: "c/d&e"}},
		},
		{
			name: "Java, plain keys", bag: "$.mid=1&$.to=%2Fx&$.ctime=now&$.schema=s&$.sub=comp&k=v",
			system:     iothub.SystemProperties{MessageID: "1", To: "/x", CreationTime: "now", Schema: "s", Component: "comp"},
			properties: iothub.Properties{{Name: "k", Value: "v"}},
		},
		{name: "Node module output, slash behind", bag: "%24.on=out1/", system: iothub.SystemProperties{OutputName: "out1"}},
		{name: "security interface", bag: "?%24.ifid=urn%3Aazureiot%3ASecurity%3ASecurityAgent%3A1", system: iothub.SystemProperties{InterfaceID: "urn:azureiot:Security:SecurityAgent:1"}},
		{name: "no value", bag: "flag&k=", properties: iothub.Properties{{Name: "flag"}, {Name: "k"}}},
		{name: "plus stays plus", bag: "a+b=c+d&e=%2B", properties: iothub.Properties{{Name: "a+b", Value: "c+d"}, {Name: "e", Value: "+"}}},
		{name: "second = belongs to the value", bag: "a=b=c", properties: iothub.Properties{{Name: "a", Value: "b=c"}}},
		{name: "C without encoding", bag: "rate=100%&path=/a/b", properties: iothub.Properties{{Name: "rate", Value: "100%"}, {Name: "path", Value: "/a/b"}}},
		{name: "empty items", bag: "&&a=b&", properties: iothub.Properties{{Name: "a", Value: "b"}}},
		{name: "duplicates: the last one", bag: "a=1&b=2&a=3", properties: iothub.Properties{{Name: "a", Value: "3"}, {Name: "b", Value: "2"}}},
		{name: "connection keys cannot be forged", bag: "%24.cdid=other&%24.cmid=m&a=b", properties: iothub.Properties{{Name: "a", Value: "b"}}},
		{name: "unknown system key is a property", bag: "%24.diagid=x", properties: iothub.Properties{{Name: "$.diagid", Value: "x"}}},
		{name: "UTF-8", bag: "%C3%BC=%E2%82%AC", properties: iothub.Properties{{Name: "ü", Value: "€"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var system iothub.SystemProperties
			properties, err := parseBag(test.bag, &system)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.system, system); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.properties, properties); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, bag := range []string{"=v", "k=%FF", "%80=v"} {
		if p, err := parseBag(bag, new(iothub.SystemProperties)); err == nil {
			t.Errorf("%q parsed as %v", bag, p)
		}
	}
}

func TestParseFilter(t *testing.T) {
	tests := []struct {
		id     iothub.ID
		filter string
		kind   filterKind
		base   string
	}{
		{testDevice(), "devices/dev-1/messages/devicebound/#", filterC2D, "devices/dev-1/messages/devicebound/"},
		{testDevice(), "/devices/dev-1/messages/devicebound/#", filterC2D, "/devices/dev-1/messages/devicebound/"},
		{iothub.ID{DeviceID: "a+b"}, "devices/a%2Bb/messages/devicebound/#", filterC2D, "devices/a%2Bb/messages/devicebound/"},
		{testModule(), "devices/dev-1/modules/mod/messages/devicebound/#", filterC2D, "devices/dev-1/modules/mod/messages/devicebound/"},
		{testModule(), "devices/dev-1/modules/mod/#", filterModule, "devices/dev-1/modules/mod/"},
		{testModule(), "devices/dev-1/modules/mod/inputs/#", filterInputs, "devices/dev-1/modules/mod/inputs/"},
		{testDevice(), "$iothub/methods/POST/#", filterMethods, ""},
		{testModule(), "/$iothub/methods/POST/#", filterMethods, ""},
		{testDevice(), "$iothub/twin/res/#", filterTwinResponse, ""},
		{testDevice(), "$iothub/twin/PATCH/properties/desired/#", filterDesired, ""},
	}
	for _, test := range tests {
		kind, base, err := parseFilter(test.id, test.filter)
		if err != nil || kind != test.kind || base != test.base {
			t.Errorf("%s: %q = %d, %q, %v; want %d, %q", test.id, test.filter, kind, base, err, test.kind, test.base)
		}
	}
	for _, filter := range []string{
		"", "#", "+", "devices/#", "devices/dev-1/#", "devices/dev-1/messages/devicebound", "devices/dev-1/messages/devicebound/+",
		"devices/dev-2/messages/devicebound/#", "devices/dev-1/messages/events/#", "devices/+/messages/devicebound/#",
		"devices/dev-1/modules/mod/messages/devicebound/#", "devices/dev-1/inputs/#",
		"$iothub/#", "$iothub/twin/#", "$iothub/twin/res/+", "$iothub/methods/POST/reboot", "$SYS/#", "$share/g/devices/dev-1/messages/devicebound/#",
	} {
		if kind, _, err := parseFilter(testDevice(), filter); err == nil {
			t.Errorf("%q accepted as %d", filter, kind)
		}
	}
}

func TestTopicsToTheDevice(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{formatMethodTopic("rebootDevice", "r1"), "$iothub/methods/POST/rebootDevice/?$rid=r1"},
		{formatMethodTopic("thermostat1*getMaxMinReport", "r1"), "$iothub/methods/POST/thermostat1*getMaxMinReport/?$rid=r1"},
		{formatMethodTopic("a+b#c%d", "r1"), "$iothub/methods/POST/a%2Bb%23c%25d/?$rid=r1"},
		{formatTwinResponseTopic(200, "a%20b", 0), "$iothub/twin/res/200/?$rid=a%20b"},
		{formatTwinResponseTopic(204, "x", 12), "$iothub/twin/res/204/?$rid=x&$version=12"},
		{formatDesiredTopic(4), "$iothub/twin/PATCH/properties/desired/?$version=4"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"abc", "abc"},
		{"%41", "A"},
		{"%", "%"},
		{"%4", "%4"},
		{"%4G", "%4G"},
		{"%%41", "%A"},
		{"%25%", "%%"},
		{"a%20b%2Fc", "a b/c"},
		{"%2f%2F", "//"},
		{"100%", "100%"},
		{"%zz%20", "%zz "},
	} {
		if got := unescape(test.in); got != test.want {
			t.Errorf("unescape(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

// TestC2DTopicRoundTrip: what a client decodes from the topic is what the back
// end sent, and the raw topic keeps every client's parser happy.
func TestC2DTopicRoundTrip(t *testing.T) {
	text := rapid.String().Filter(utf8.ValidString)
	name := rapid.StringMatching(`[a-zA-Z0-9!#$%&'*+.^_|~ ü/=-]{1,12}`).Filter(func(s string) bool {
		return !strings.HasPrefix(s, "$.") && s != ackProperty
	})
	rapid.Check(t, func(t *rapid.T) {
		m := iothub.C2DMessage{ID: testDevice(), Ack: rapid.SampledFrom([]iothub.Ack{"", iothub.AckNone, iothub.AckFull}).Draw(t, "ack")}
		m.System.MessageID = text.Draw(t, "mid")
		m.System.CorrelationID = text.Draw(t, "cid")
		m.System.UserID = text.Draw(t, "uid")
		m.System.ContentType = text.Draw(t, "ct")
		values := rapid.MapOf(name, text).Draw(t, "properties")
		for _, n := range slices.Sorted(maps.Keys(values)) {
			m.Properties = append(m.Properties, iothub.Property{Name: n, Value: values[n]})
		}
		const base = "devices/dev-1/messages/devicebound/"
		topic := formatC2DTopic(base, &m)
		bag, ok := strings.CutPrefix(topic, base)
		if !ok || !strings.HasPrefix(bag, "%24.") {
			t.Fatalf("topic %q", topic)
		}
		if strings.ContainsAny(bag, "/+# ") {
			t.Fatalf("bag %q is not wholly encoded", bag)
		}
		for _, item := range strings.Split(bag, "&") {
			if key, value, ok := strings.Cut(item, "="); !ok || key == "" || strings.HasPrefix(key, "%24.") && value == "" || strings.Contains(value, "=") {
				t.Fatalf("item %q of %q", item, bag)
			}
		}
		var system iothub.SystemProperties
		properties, err := parseBag(bag, &system)
		if err != nil {
			t.Fatal(err)
		}
		want := m.System
		want.To = "/devices/dev-1/messages/deviceBound"
		if system != want {
			t.Fatalf("system properties %+v, want %+v", system, want)
		}
		wantProperties := m.Properties
		if m.Ack == iothub.AckFull {
			wantProperties = append(iothub.Properties{{Name: ackProperty, Value: "full"}}, wantProperties...)
		}
		if diff := cmp.Diff(wantProperties.Map(), properties.Map()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestC2DTopic(t *testing.T) {
	m := iothub.C2DMessage{ID: testModule(), Ack: iothub.AckPositive, ExpiryTime: mustTime(t, "2024-01-02T03:04:05Z")}
	m.System.MessageID = "m 1"
	m.Properties = iothub.Properties{{Name: "a/b", Value: "c=d&e+f"}, {Name: "empty"}, {Name: ackProperty, Value: "positive"}}
	got := formatC2DTopic("devices/dev-1/modules/mod/messages/devicebound/", &m)
	want := "devices/dev-1/modules/mod/messages/devicebound/%24.mid=m%201" +
		"&%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Fmessages%2FdeviceBound" +
		"&%24.exp=2024-01-02T03%3A04%3A05.0000000Z&iothub-ack=positive&a%2Fb=c%3Dd%26e%2Bf&empty="
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzTopics: no topic, filter, bag or user name makes a parser panic, and what
// is accepted belongs to the identity.
func FuzzTopics(f *testing.F) {
	for _, s := range []string{
		"devices/dev-1/messages/events/%24.mid=1&k=v", "/devices/dev-1/modules/mod/messages/events/?%24.on=o/",
		"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=2", "$iothub/methods/res/200/?$rid=%", "$iothub/twin/res/#",
		"devices/dev-1/messages/devicebound/#", "hub.azure-devices.net/dev-1/mod/?api-version=2021-04-12&model-id=dtmi:a;1",
		"localhost/dev-1/api-version=2019-10-01", "%%%", "a=%C3%28", "\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, id := range []iothub.ID{testDevice(), testModule()} {
			if d, err := parsePublishTopic(id, s); err == nil && d.kind == topicTelemetry && !strings.Contains(unescape(s), "devices/dev-1") {
				t.Errorf("%q taken for telemetry of %s", s, id)
			}
			if _, base, err := parseFilter(id, s); err == nil && base != "" && !strings.HasSuffix(base, "messages/devicebound/") {
				t.Errorf("base %q of %q", base, s)
			}
			if u, err := parseUserName(s, id); err == nil && (u.host == "" || !strings.HasPrefix(s, u.host+"/")) {
				t.Errorf("host %q of %q", u.host, s)
			}
			var system iothub.SystemProperties
			if properties, err := parseBag(s, &system); err == nil {
				for _, p := range properties {
					if p.Name == "" || !utf8.ValidString(p.Name+p.Value) {
						t.Errorf("property %q=%q of %q", p.Name, p.Value, s)
					}
				}
			}
			if got := unescape(string(appendEscaped(nil, s))); got != s {
				t.Errorf("%q comes back as %q", s, got)
			}
		}
	})
}
