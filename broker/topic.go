package broker

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
)

// topicKind says which operation a device's publish asks for.
type topicKind int

const (
	topicTelemetry topicKind = iota
	topicTwinGet
	topicTwinReported
	topicMethodResponse
)

// deviceTopic is a topic that a device may publish to.
type deviceTopic struct {
	kind topicKind
	// bag is the undecoded property bag of telemetry.
	bag string
	// rid is the request ID, exactly as sent.
	rid string
	// version is the base version of a reported patch; nil when absent. fault says what is
	// wrong with it: the patch is refused, and the connection stays.
	version *int64
	fault   error
	// status is the status of a method response.
	status int
}

// The fixed parts of the topics.
const (
	twinGetTopic        = "$iothub/twin/GET/"
	twinReportedTopic   = "$iothub/twin/PATCH/properties/reported/"
	twinResponseTopic   = "$iothub/twin/res/"
	twinDesiredTopic    = "$iothub/twin/PATCH/properties/desired/"
	methodRequestTopic  = "$iothub/methods/POST/"
	methodResponseTopic = "$iothub/methods/res/"
)

// parsePublishTopic parses the topic of a publish by id. A single slash in front
// is passed over, as for filters.
// Source: IoT Hub, communicate using the MQTT protocol.
func parsePublishTopic(id iothub.ID, topic string) (deviceTopic, error) {
	t := strings.TrimPrefix(topic, "/")
	if rest, ok := strings.CutPrefix(t, "devices/"); ok {
		return parseTelemetryTopic(id, rest)
	}
	if rest, ok := strings.CutPrefix(t, twinGetTopic); ok {
		d := deviceTopic{kind: topicTwinGet}
		return d, d.parseQuery(rest)
	}
	if rest, ok := strings.CutPrefix(t, twinReportedTopic); ok {
		d := deviceTopic{kind: topicTwinReported}
		return d, d.parseQuery(rest)
	}
	if rest, ok := strings.CutPrefix(t, methodResponseTopic); ok {
		status, query, found := strings.Cut(rest, "/")
		n, err := strconv.ParseInt(status, 10, 32)
		if !found || err != nil {
			return deviceTopic{}, iothub.NewError(iothub.CodeArgumentInvalid, "the status of a method response must be an integer")
		}
		d := deviceTopic{kind: topicMethodResponse, status: int(n)}
		return d, d.parseQuery(query)
	}
	return deviceTopic{}, iothub.NewError(iothub.CodeInvalidOperation, "publish to a topic that a device may not use")
}

// parseTelemetryTopic parses what follows "devices/".
func parseTelemetryTopic(id iothub.ID, rest string) (deviceTopic, error) {
	rest, ok := cutOwner(id, rest)
	if ok {
		rest, ok = strings.CutPrefix(rest, "messages/events")
	}
	if !ok || rest != "" && rest[0] != '/' {
		return deviceTopic{}, iothub.NewError(iothub.CodeInvalidOperation, "publish to a topic that is not the device's own")
	}
	return deviceTopic{kind: topicTelemetry, bag: strings.TrimPrefix(rest, "/")}, nil
}

// cutOwner cuts "{device}/" or "{device}/modules/{module}/" of id from s. The
// IDs may be percent-encoded: a device ID may hold + and #, which a topic may not.
func cutOwner(id iothub.ID, s string) (rest string, ok bool) {
	device, rest, ok := strings.Cut(s, "/")
	if !ok || !sameID(device, id.DeviceID) {
		return "", false
	}
	if !id.IsModule() {
		return rest, true
	}
	rest, ok = strings.CutPrefix(rest, "modules/")
	if !ok {
		return "", false
	}
	module, rest, ok := strings.Cut(rest, "/")
	return rest, ok && sameID(module, id.ModuleID)
}

func sameID(text, id string) bool { return text == id || unescape(text) == id }

// parseQuery parses "?$rid=...[&$version=...]".
func (d *deviceTopic) parseQuery(s string) error {
	query, ok := strings.CutPrefix(s, "?")
	if !ok {
		return iothub.NewError(iothub.CodeArgumentInvalid, "the topic lacks ?$rid=")
	}
	found := false
	for query != "" {
		var item string
		item, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(item, "=")
		switch unescape(key) {
		case "$rid":
			d.rid, found = value, true
		case "$version":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				d.fault = iothub.NewError(iothub.CodeArgumentInvalid, "$version must be an integer, not %.40q.", value)
				continue
			}
			d.version = &n
		}
	}
	if !found {
		return iothub.NewError(iothub.CodeArgumentInvalid, "the topic lacks $rid")
	}
	return nil
}

// The topics that the hub publishes to.

func formatMethodTopic(name, rid string) string {
	return methodRequestTopic + escapeMethodName(name) + "/?$rid=" + rid
}

// escapeMethodName encodes what a topic may not hold. A star stays: it parts
// component and command of a digital twin, and some clients do not decode.
func escapeMethodName(name string) string {
	if !strings.ContainsAny(name, "+#%") {
		return name
	}
	return strings.NewReplacer("%", "%25", "+", "%2B", "#", "%23").Replace(name)
}

// formatTwinResponseTopic puts $rid before $version, which the Java client
// requires. version is left out when it is not positive.
func formatTwinResponseTopic(status int, rid string, version int64) string {
	t := twinResponseTopic + strconv.Itoa(status) + "/?$rid=" + rid
	if version > 0 {
		t += "&$version=" + strconv.FormatInt(version, 10)
	}
	return t
}

func formatDesiredTopic(version int64) string {
	return twinDesiredTopic + "?$version=" + strconv.FormatInt(version, 10)
}

// filterKind is what a subscription is for.
type filterKind int

const (
	filterC2D filterKind = iota
	filterMethods
	filterTwinResponse
	filterDesired
	filterInputs
	// filterModule is devices/{d}/modules/{m}/#: messages and inputs at once.
	filterModule
)

// parseFilter parses a topic filter. Only the documented ones exist. base is the
// topic under which messages go to this subscriber, spelled as it spelled its
// filter; for filterModule up to the module; "" for kinds without messages.
func parseFilter(id iothub.ID, filter string) (kind filterKind, base string, err error) {
	t := strings.TrimPrefix(filter, "/")
	switch t {
	case methodRequestTopic + "#":
		return filterMethods, "", nil
	case twinResponseTopic + "#":
		return filterTwinResponse, "", nil
	case twinDesiredTopic + "#":
		return filterDesired, "", nil
	}
	if rest, ok := strings.CutPrefix(t, "devices/"); ok {
		if rest, ok = cutOwner(id, rest); ok {
			owner := filter[:len(filter)-len(rest)]
			switch {
			case rest == "messages/devicebound/#":
				return filterC2D, strings.TrimSuffix(filter, "#"), nil
			case rest == "inputs/#" && id.IsModule():
				return filterInputs, strings.TrimSuffix(filter, "#"), nil
			case rest == "#" && id.IsModule():
				return filterModule, owner, nil
			}
		}
	}
	return 0, "", iothub.NewError(iothub.CodeInvalidOperation, "subscription to a topic filter that the hub does not have")
}

// systemField returns the system property that a key of the bag stands for, the
// $ in front encoded or not, or nil.
// Source: IoT Hub devguide, create and read messages; the SDKs' MQTT transports.
func systemField(s *iothub.SystemProperties, key string) *string {
	name, ok := strings.CutPrefix(key, "%24.")
	if !ok {
		if name, ok = strings.CutPrefix(key, "$."); !ok {
			return nil
		}
	}
	switch name {
	case "mid":
		return &s.MessageID
	case "cid":
		return &s.CorrelationID
	case "uid":
		return &s.UserID
	case "to":
		return &s.To
	case "ct":
		return &s.ContentType
	case "ce":
		return &s.ContentEncoding
	case "exp":
		return &s.Expiry
	case "ctime":
		return &s.CreationTime
	case "schema":
		return &s.Schema
	case "sub":
		return &s.Component
	case "ifid":
		return &s.InterfaceID
	case "on":
		return &s.OutputName
	}
	return nil
}

// parseBag decodes a property bag into s and the application properties. It
// takes every spelling of the SDKs: ? in front, / behind, encoded or plain keys,
// items without =. A plus sign is a plus sign. Of duplicates the last one holds.
// It returns ArgumentInvalid when an item does not decode to UTF-8 or has no key.
func parseBag(bag string, s *iothub.SystemProperties) (iothub.Properties, error) {
	bag = strings.TrimSuffix(strings.TrimPrefix(bag, "?"), "/")
	if bag == "" {
		return nil, nil
	}
	var properties iothub.Properties
	for more := true; more; {
		var item string
		item, bag, more = strings.Cut(bag, "&")
		if item == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(item, "=")
		value := unescape(rawValue)
		if !utf8.ValidString(value) {
			return nil, errBadProperty()
		}
		if field := systemField(s, rawKey); field != nil {
			*field = value
			continue
		}
		switch key := unescape(rawKey); {
		case key == "" || !utf8.ValidString(key):
			return nil, errBadProperty()
		case key == "$.cdid", key == "$.cmid":
			// The connection's identity is the hub's to say.
		default:
			properties = setProperty(properties, key, value)
		}
	}
	return properties, nil
}

func errBadProperty() error {
	return iothub.NewError(iothub.CodeArgumentInvalid, "the topic holds a property that cannot be decoded")
}

func setProperty(p iothub.Properties, name, value string) iothub.Properties {
	for i := range p {
		if p[i].Name == name {
			p[i].Value = value
			return p
		}
	}
	if p == nil {
		p = make(iothub.Properties, 0, 4)
	}
	return append(p, iothub.Property{Name: name, Value: value})
}

// appendBagItem appends key=value, both percent-encoded, with & between items.
func appendBagItem(b []byte, first *bool, key, value string) []byte {
	if !*first {
		b = append(b, '&')
	}
	*first = false
	b = appendEscaped(b, key)
	b = append(b, '=')
	return appendEscaped(b, value)
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// unescape decodes percent-encoding. A percent sign that starts no escape stands
// for itself, because the C client sends custom properties as they are. It
// returns s itself when there is nothing to decode.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for last := 0; ; {
		if i+2 < len(s) {
			if hi, lo := fromHex(s[i+1]), fromHex(s[i+2]); hi < 16 && lo < 16 {
				b = append(b, s[last:i]...)
				b = append(b, hi<<4|lo)
				last = i + 3
				i += 2
			}
		}
		next := strings.IndexByte(s[i+1:], '%')
		if next < 0 {
			return string(append(b, s[last:]...))
		}
		i += 1 + next
	}
}

func fromHex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
