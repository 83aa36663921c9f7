package iothub

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"unicode/utf8"
)

// DecodeObject decodes exactly one JSON object in UTF-8, numbers as
// json.Number. It returns IotHubFormatError for anything else.
func DecodeObject(data []byte) (map[string]any, error) {
	// The decoder would put U+FFFD in the place of what it cannot read.
	if !utf8.Valid(data) {
		return nil, NewError(CodeIotHubFormatError, "The body is not UTF-8.")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil || m == nil {
		return nil, NewError(CodeIotHubFormatError, "The body must be a JSON object.").WithCause(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, NewError(CodeIotHubFormatError, "The body must hold one JSON object and nothing after it.")
	}
	return m, nil
}

// DecodeTwinPatch reads the body of a PATCH or PUT of a twin. Back ends often
// send a whole twin that they read before: members other than tags and
// properties.desired, reported properties, and $version and $metadata of the
// desired properties are passed over, as null parts are.
func DecodeTwinPatch(body []byte) (TwinPatch, error) {
	doc, err := DecodeObject(body)
	if err != nil {
		return TwinPatch{}, err
	}
	var p TwinPatch
	if p.Tags, err = member(doc, "tags"); err != nil {
		return TwinPatch{}, err
	}
	properties, err := member(doc, "properties")
	if err != nil {
		return TwinPatch{}, err
	}
	if p.Desired, err = member(properties, "desired"); err != nil {
		return TwinPatch{}, err
	}
	delete(p.Desired, "$version")
	delete(p.Desired, "$metadata")
	return p, nil
}

func member(doc map[string]any, name string) (map[string]any, error) {
	switch v := doc[name].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	}
	return nil, NewError(CodeArgumentInvalid, "%q must be a JSON object.", name)
}

// MarshalTwin returns the twin as back ends see it. The capital letters of the
// thumbprint names are the service's own.
// Source: Twin of the IoT Hub service API 2021-04-12.
func MarshalTwin(i Identity, t Twin, c ConnectionInfo) ([]byte, error) {
	return json.Marshal(twinJSON{
		DeviceID: i.ID.DeviceID, ModuleID: i.ID.ModuleID, ETag: t.ETagText(), DeviceETag: i.ETag,
		Status: i.Status, StatusReason: i.StatusReason, StatusUpdateTime: FormatTime(i.StatusUpdatedTime),
		ConnectionState: c.ConnectionState(), LastActivityTime: FormatTime(c.LastActivityTime),
		C2DCount: c.C2DCount, AuthenticationType: i.Authentication.Type,
		X509Thumbprint: twinThumbprintJSON(i.Authentication.X509Thumbprint),
		ModelID:        t.ModelID, Version: t.Version, Tags: t.Tags,
		Properties:   propertiesJSON{t.Desired.document(true), t.Reported.document(true)},
		Capabilities: i.Capabilities, DeviceScope: i.DeviceScope, ParentScopes: i.ParentScopes,
		Configurations: c.Configurations,
	})
}

// MarshalDeviceTwin returns the twin as the device itself sees it: desired and
// reported properties with $version and without metadata.
// Source: IoT Hub, communicate using the MQTT protocol (retrieve device twin).
func MarshalDeviceTwin(t Twin) ([]byte, error) {
	return json.Marshal(propertiesJSON{t.Desired.document(false), t.Reported.document(false)})
}

// MarshalDesiredPatch returns the body of a desired property notification: the
// patch as written, nulls included, with $version.
func MarshalDesiredPatch(patch map[string]any, version int64) ([]byte, error) {
	out := make(map[string]any, len(patch)+1)
	maps.Copy(out, patch)
	out["$version"] = version
	return json.Marshal(out)
}

func (s Section) document(metadata bool) map[string]any {
	out := make(map[string]any, len(s.Values)+2)
	maps.Copy(out, s.Values)
	if metadata {
		out["$metadata"] = s.Metadata
	}
	out["$version"] = s.Version
	return out
}

type twinJSON struct {
	DeviceID           string             `json:"deviceId"`
	ModuleID           string             `json:"moduleId,omitempty"`
	ETag               string             `json:"etag"`
	DeviceETag         string             `json:"deviceEtag"`
	Status             Status             `json:"status"`
	StatusReason       string             `json:"statusReason,omitempty"`
	StatusUpdateTime   string             `json:"statusUpdateTime"`
	ConnectionState    string             `json:"connectionState"`
	LastActivityTime   string             `json:"lastActivityTime"`
	C2DCount           int                `json:"cloudToDeviceMessageCount"`
	AuthenticationType AuthenticationType `json:"authenticationType"`
	X509Thumbprint     twinThumbprintJSON `json:"x509Thumbprint"`
	ModelID            string             `json:"modelId"`
	Version            int64              `json:"version"`
	Tags               map[string]any     `json:"tags"`
	Properties         propertiesJSON     `json:"properties"`
	Capabilities       Capabilities       `json:"capabilities"`
	DeviceScope        string             `json:"deviceScope,omitempty"`
	ParentScopes       []string           `json:"parentScopes,omitempty"`
	Configurations     map[string]any     `json:"configurations,omitempty"`
}

type twinThumbprintJSON struct {
	PrimaryThumbprint   *string `json:"PrimaryThumbprint"`
	SecondaryThumbprint *string `json:"SecondaryThumbprint"`
}

type propertiesJSON struct {
	Desired  map[string]any `json:"desired"`
	Reported map[string]any `json:"reported"`
}
