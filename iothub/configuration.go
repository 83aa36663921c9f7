package iothub

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of automatic device management.
// Source: IoT Hub quotas and throttling; automatic device management.
const (
	MaxConfigurations     = 100
	MaxConfigurationsFree = 10
	MaxConfigurationID    = 128
	MaxCustomMetrics      = 5
)

// EdgeAgent and EdgeHub are the system modules of every edge device.
const (
	EdgeAgent = "$edgeAgent"
	EdgeHub   = "$edgeHub"
)

// ConfigurationKind says whose desired properties a configuration sets.
type ConfigurationKind string

// The kinds, named by the member of the content.
const (
	// DeviceContent sets those of devices, ModuleContent those of modules, and
	// ModulesContent those of the modules of edge devices: a deployment.
	DeviceContent  ConfigurationKind = "deviceContent"
	ModuleContent  ConfigurationKind = "moduleContent"
	ModulesContent ConfigurationKind = "modulesContent"
)

// Assignment sets one place in desired properties.
type Assignment struct {
	// Path is below properties.desired; empty is all of it.
	Path []string
	// Value is any JSON value; nil removes.
	Value any
}

// Content is what a configuration sets, one kind of three.
type Content struct {
	Kind ConfigurationKind
	// Raw is the content as it was sent.
	Raw json.RawMessage
	// Assignments of a device or module, or by module for ModulesContent; in the order of their paths.
	Assignments []Assignment
	Modules     map[string][]Assignment
}

// Layered reports whether a deployment only adds to another one.
// Source: IoT Edge automatic deployments, layered deployment.
func (c Content) Layered() bool {
	return c.Kind == ModulesContent && (len(c.Modules[EdgeAgent]) == 0 || len(c.Modules[EdgeAgent][0].Path) > 0)
}

func invalidContent(format string, args ...any) *Error {
	return NewError(CodeInvalidConfigurationContent, format, args...)
}

// DecodeContent reads the content of a configuration. Error: InvalidConfigurationContent.
func DecodeContent(raw json.RawMessage) (Content, error) {
	c := Content{Raw: compact(raw)}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || parts == nil {
		return Content{}, invalidContent("The content must be a JSON object with deviceContent, moduleContent or modulesContent.")
	}
	for _, kind := range []ConfigurationKind{DeviceContent, ModuleContent, ModulesContent} {
		part := parts[string(kind)]
		if len(part) == 0 || string(part) == "null" {
			continue
		}
		if c.Kind != "" {
			return Content{}, invalidContent("The content must have exactly one of deviceContent, moduleContent and modulesContent.")
		}
		c.Kind = kind
	}
	if c.Kind == "" {
		return Content{}, invalidContent("The content must have deviceContent, moduleContent or modulesContent.")
	}
	doc, err := DecodeObject(parts[string(c.Kind)])
	if err != nil {
		return Content{}, invalidContent("%s must be a JSON object.", c.Kind)
	}
	if c.Kind != ModulesContent {
		c.Assignments, err = assignments(string(c.Kind), doc)
		return c, err
	}
	c.Modules = make(map[string][]Assignment, len(doc))
	for name, v := range doc {
		if ValidateModuleID(name) != nil || strings.HasPrefix(name, "$") && name != EdgeAgent && name != EdgeHub {
			return Content{}, invalidContent("%.128q is not a module that modulesContent can set.", name)
		}
		module, ok := v.(map[string]any)
		if !ok {
			return Content{}, invalidContent("%s.%s must be a JSON object.", c.Kind, name)
		}
		if c.Modules[name], err = assignments(string(c.Kind)+"."+name, module); err != nil {
			return Content{}, err
		}
	}
	if _, ok := c.Modules[EdgeAgent]; !ok {
		return Content{}, invalidContent("modulesContent must have %s.", EdgeAgent)
	}
	return c, nil
}

// assignments reads an object of "properties.desired[.path]" members.
func assignments(where string, doc map[string]any) ([]Assignment, error) {
	var out []Assignment
	for key, value := range doc {
		rest, ok := strings.CutPrefix(key, "properties.desired")
		if !ok || rest != "" && rest[0] != '.' {
			return nil, invalidContent("%s has the member %.128q; its members begin with properties.desired.", where, key)
		}
		a := Assignment{Value: value}
		if rest != "" {
			a.Path = strings.Split(rest[1:], ".")
		} else if _, ok := value.(map[string]any); !ok {
			return nil, invalidContent("%s.%s must be a JSON object.", where, key)
		}
		patch := value
		for _, name := range slices.Backward(a.Path) {
			patch = map[string]any{name: patch}
		}
		// The rules are those of a twin's patch.
		if _, err := NewTwin(time.Time{}).Patch(TwinPatch{Desired: desiredObject(patch)}, time.Time{}); err != nil {
			return nil, invalidContent("%s.%s: %s", where, key, AsError(err).Message)
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Assignment) int { return slices.Compare(a.Path, b.Path) })
	return out, nil
}

// desiredObject leaves out what a twin that was read has beside its values.
func desiredObject(v any) map[string]any {
	object, _ := v.(map[string]any)
	out := maps.Clone(object)
	delete(out, "$version")
	delete(out, "$metadata")
	return out
}

// Configuration is a rule of automatic device management, or an edge deployment.
type Configuration struct {
	ID            string
	SchemaVersion string
	// Labels is nil when there are none; they mean nothing to the hub.
	Labels          map[string]string
	Content         Content
	TargetCondition string
	Priority        int64
	// Metrics are queries by name.
	Metrics map[string]string
	// CreatedTime breaks ties of priority: the later one wins.
	CreatedTime, LastUpdatedTime time.Time
	// Version counts the writes, from 1; it is the etag.
	Version uint64
}

// ETagText returns the etag without quotes: base64 of the decimal version.
func (c Configuration) ETagText() string {
	return base64.StdEncoding.EncodeToString([]byte(strconv.FormatUint(c.Version, 10)))
}

// Before orders configurations by who yields: of two that set the same, the later one here wins.
func (c Configuration) Before(other Configuration) bool {
	if c.Priority != other.Priority {
		return c.Priority < other.Priority
	}
	if !c.CreatedTime.Equal(other.CreatedTime) {
		return c.CreatedTime.Before(other.CreatedTime)
	}
	return c.ID < other.ID
}

// ValidateConfigurationID checks an ID: 1 to 128 lower-case letters, digits and - + % _ * ! '.
// Error: ArgumentInvalid.
func ValidateConfigurationID(id string) error {
	if id == "" || len(id) > MaxConfigurationID {
		return NewError(CodeArgumentInvalid, "A configuration ID has 1 to %d characters.", MaxConfigurationID)
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-+%_*!'", c) < 0 {
			return NewError(CodeArgumentInvalid,
				"A configuration ID consists of lower-case letters, digits and - + %% _ * ! ', not the one at position %d.", i)
		}
	}
	return nil
}

// DecodeConfiguration reads the body of a PUT of configuration id: everything
// that a caller may set. Whether its queries are any is not looked at.
// Errors: IotHubFormatError, ArgumentInvalid, InvalidConfigurationContent, InvalidConfigurationCustomMetricsQuery.
// Source: Configuration of the IoT Hub service API 2021-04-12.
func DecodeConfiguration(id string, body []byte) (Configuration, error) {
	if err := ValidateConfigurationID(id); err != nil {
		return Configuration{}, err
	}
	if _, err := DecodeObject(body); err != nil {
		return Configuration{}, err
	}
	var in struct {
		ID              string            `json:"id"`
		SchemaVersion   string            `json:"schemaVersion"`
		Labels          map[string]string `json:"labels"`
		Content         json.RawMessage   `json:"content"`
		TargetCondition string            `json:"targetCondition"`
		Priority        *int64            `json:"priority"`
		Metrics         struct {
			Queries map[string]string `json:"queries"`
		} `json:"metrics"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return Configuration{}, NewError(CodeIotHubFormatError, "The body is not a configuration: %v.", err)
	}
	c := Configuration{
		ID: id, SchemaVersion: in.SchemaVersion, Labels: in.Labels, TargetCondition: in.TargetCondition, Metrics: in.Metrics.Queries,
	}
	switch {
	case in.ID != "" && in.ID != id:
		return Configuration{}, NewError(CodeArgumentInvalid, "The ID in the body differs from the one in the address.")
	case in.Priority != nil && *in.Priority < 0:
		return Configuration{}, NewError(CodeArgumentInvalid, "priority must not be negative.")
	case len(c.Metrics) > MaxCustomMetrics:
		return Configuration{}, NewError(CodeInvalidConfigurationCustomMetricsQuery, "A configuration has at most %d custom metrics.", MaxCustomMetrics)
	case in.Priority != nil:
		c.Priority = *in.Priority
	}
	var err error
	c.Content, err = DecodeContent(in.Content)
	return c, err
}

// MetricResults are the counts of a configuration's metrics, by name; nil as
// long as they are not known.
type MetricResults map[string]int

// MarshalConfiguration returns the JSON of a configuration.
func MarshalConfiguration(c Configuration, system, custom MetricResults) ([]byte, error) {
	type metrics struct {
		Results MetricResults     `json:"results"`
		Queries map[string]string `json:"queries"`
	}
	return json.Marshal(struct {
		ID              string            `json:"id"`
		SchemaVersion   *string           `json:"schemaVersion"`
		Labels          map[string]string `json:"labels"`
		Content         json.RawMessage   `json:"content"`
		TargetCondition string            `json:"targetCondition"`
		Created         string            `json:"createdTimeUtc"`
		LastUpdated     string            `json:"lastUpdatedTimeUtc"`
		Priority        int64             `json:"priority"`
		System          metrics           `json:"systemMetrics"`
		Custom          metrics           `json:"metrics"`
		ETag            string            `json:"etag"`
	}{
		c.ID, stringOrNull(c.SchemaVersion), c.Labels, c.Content.Raw, c.TargetCondition,
		FormatTime(c.CreatedTime), FormatTime(c.LastUpdatedTime), c.Priority,
		metrics{orEmpty(system), c.SystemMetricQueries()},
		metrics{orEmpty(custom), orEmpty(c.Metrics)},
		c.ETagText(),
	})
}

func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// Names of system metrics.
const (
	MetricTargeted           = "targetedCount"
	MetricApplied            = "appliedCount"
	MetricReportedSuccessful = "reportedSuccessfulCount"
	MetricReportedFailed     = "reportedFailedCount"
)

// SystemMetricQueries returns the queries behind the system metrics.
// Source: IoT extension for the Azure CLI (metrics of configurations and deployments).
func (c Configuration) SystemMetricQueries() map[string]string {
	applied := "configurations.[[" + c.ID + "]].status = 'Applied'"
	target, condition := "select deviceId from devices", strings.TrimSpace(c.TargetCondition)
	switch c.Content.Kind {
	case ModuleContent:
		return map[string]string{
			MetricTargeted: "select deviceId, moduleId " + condition,
			MetricApplied:  "select deviceId, moduleId from devices.modules where " + applied,
		}
	case ModulesContent:
		agent := "select deviceId from devices.modules where moduleId = '" + EdgeAgent + "' and " + applied
		reported := agent + " and properties.desired.$version = properties.reported.lastDesiredVersion and properties.reported.lastDesiredStatus.code "
		target += " where capabilities.iotEdge = true"
		if condition != "" && condition != "*" {
			target += " and (" + condition + ")"
		}
		return map[string]string{
			MetricTargeted: target, MetricApplied: agent, MetricReportedSuccessful: reported + "= 200", MetricReportedFailed: reported + "!= 200",
		}
	}
	if condition != "" && condition != "*" {
		target += " where " + condition
	}
	return map[string]string{MetricTargeted: target, MetricApplied: "select deviceId from devices where " + applied}
}
