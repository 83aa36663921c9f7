package iothub

import (
	"net/url"
	"slices"
	"strings"
)

// RouteSource says which messages a route looks at.
// Source: RoutingSource of the IoT Hub resource API 2023-06-30.
type RouteSource string

// The sources that the emulator has messages of.
const (
	SourceDeviceMessages   RouteSource = "DeviceMessages"
	SourceTwinChange       RouteSource = "TwinChangeEvents"
	SourceDeviceLifecycle  RouteSource = "DeviceLifecycleEvents"
	SourceDeviceConnection RouteSource = "DeviceConnectionStateEvents"
)

// The sources that it refuses by name.
const (
	sourceDigitalTwin RouteSource = "DigitalTwinChangeEvents"
	sourceDeviceJob   RouteSource = "DeviceJobLifecycleEvents"
	sourceMQTTBroker  RouteSource = "MqttBrokerMessages"
)

// Lengths in bytes. That of names is Azure's, the others are ours.
const (
	maxRoutingName     = 64
	maxWebhookURL      = 2048
	maxEnrichmentValue = 4096
)

// RouteSource returns the routing source of messages of s.
func (s MessageSource) RouteSource() RouteSource {
	switch s {
	case MessageSourceTwinChange:
		return SourceTwinChange
	case MessageSourceDeviceLifecycle:
		return SourceDeviceLifecycle
	case MessageSourceDeviceConnectionState:
		return SourceDeviceConnection
	}
	return SourceDeviceMessages
}

// EventRouteSources returns the sources of what the hub itself tells of, not
// of what devices send.
func EventRouteSources() []RouteSource {
	return []RouteSource{SourceTwinChange, SourceDeviceLifecycle, SourceDeviceConnection}
}

// Limits of the routing configuration.
// Source: IoT Hub devguide, quotas and throttling (paid tiers).
const (
	MaxRoutes      = 100
	MaxEndpoints   = 10
	MaxEnrichments = 10
)

// BuiltInEndpoint is the name of the Event Hubs-compatible endpoint.
const BuiltInEndpoint = "events"

// Route sends the messages of a source that fulfil a condition to an endpoint.
// Source: RouteProperties of the IoT Hub resource API 2023-06-30.
type Route struct {
	// Name has at most 64 letters, digits, and . _ -; names differ in more than case.
	Name   string      `json:"name"`
	Source RouteSource `json:"source"`
	// Condition is a routing query; "" is always true.
	Condition string `json:"condition"`
	// EndpointNames holds exactly one name: an endpoint or BuiltInEndpoint.
	EndpointNames []string `json:"endpointNames"`
	IsEnabled     bool     `json:"isEnabled"`
}

// Validate returns ArgumentInvalid or InvalidSourceOnRoute for what is wrong
// with the route by itself: the condition's syntax is not looked at.
func (r Route) Validate() error {
	if err := validateRoutingName("route", r.Name); err != nil {
		return err
	}
	switch r.Source {
	case SourceDeviceMessages, SourceTwinChange, SourceDeviceLifecycle, SourceDeviceConnection:
	case sourceDigitalTwin, sourceDeviceJob, sourceMQTTBroker:
		return NewError(CodeInvalidSourceOnRoute, "Route %q: the emulator has no messages of the source %s.", r.Name, r.Source)
	default:
		return NewError(CodeInvalidSourceOnRoute, "Route %q: there is no source %q.", r.Name, r.Source)
	}
	if len(r.EndpointNames) != 1 {
		return NewError(CodeArgumentInvalid, "Route %q: endpointNames must hold exactly one name.", r.Name)
	}
	return nil
}

// Enrichment adds an application property to what goes to some endpoints.
// Source: IoT Hub message enrichments.
type Enrichment struct {
	// Key has letters, digits, and - _ .
	Key string `json:"key"`
	// Value is a text, $iothubname, or a path that begins with $twin.
	Value string `json:"value"`
	// EndpointNames are the endpoints whose messages get the property.
	EndpointNames []string `json:"endpointNames"`
}

// Validate returns ArgumentInvalid for what is wrong with the enrichment.
func (e Enrichment) Validate() error {
	if err := validateRoutingName("enrichment", e.Key); err != nil {
		return err
	}
	switch {
	case e.Value == "":
		return NewError(CodeArgumentInvalid, "Enrichment %q: the value must not be empty.", e.Key)
	case len(e.Value) > maxEnrichmentValue:
		return NewError(CodeArgumentInvalid, "Enrichment %q: the value is longer than %d bytes.", e.Key, maxEnrichmentValue)
	case len(e.EndpointNames) == 0:
		return NewError(CodeArgumentInvalid, "Enrichment %q: endpointNames must hold a name.", e.Key)
	}
	return nil
}

// Endpoint is a webhook: an address that messages are posted to.
type Endpoint struct {
	// Name follows the rules of Route.Name and is none of the reserved ones.
	Name string `json:"name"`
	// URL is an absolute http or https address.
	URL string `json:"url"`
}

// Validate returns ArgumentInvalid or InvalidMessagingEndpoint.
// Source of the reserved names: IoT Hub devguide, endpoints.
func (e Endpoint) Validate() error {
	if err := validateRoutingName("endpoint", e.Name); err != nil {
		return err
	}
	reserved := []string{BuiltInEndpoint, "fileNotifications", "operationsMonitoringEvents"}
	if slices.ContainsFunc(reserved, func(name string) bool { return strings.EqualFold(name, e.Name) }) {
		return NewError(CodeInvalidMessagingEndpoint, "The endpoint name %q is reserved.", e.Name)
	}
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(e.URL) > maxWebhookURL {
		// The address may hold a secret: it is not repeated.
		return NewError(CodeInvalidMessagingEndpoint, "Endpoint %q: the URL must be an absolute http or https address.", e.Name)
	}
	return nil
}

func validateRoutingName(kind, name string) error {
	if name == "" || len(name) > maxRoutingName {
		return NewError(CodeArgumentInvalid, "The name of the %s must have 1 to %d characters.", kind, maxRoutingName)
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("-_.", c) < 0 {
			return NewError(CodeArgumentInvalid, "The name of the %s %q may hold letters, digits and %s only.", kind, name, "- _ .")
		}
	}
	return nil
}
