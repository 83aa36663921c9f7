package iothub

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
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
	text := func(b []byte, name, value string) []byte { return appendJSONString(appendJSONMember(b, name), value) }
	b := append(make([]byte, 0, 2048), '{')
	b = text(b, "deviceId", i.ID.DeviceID)
	if i.ID.IsModule() {
		b = text(b, "moduleId", i.ID.ModuleID)
	}
	b = text(text(b, "etag", t.ETagText()), "deviceEtag", i.ETag)
	b = text(b, "status", string(i.Status))
	if i.StatusReason != "" {
		b = text(b, "statusReason", i.StatusReason)
	}
	b = appendJSONTime(b, "statusUpdateTime", i.StatusUpdatedTime)
	b = text(b, "connectionState", c.ConnectionState())
	b = appendJSONTime(b, "lastActivityTime", c.LastActivityTime)
	b = strconv.AppendInt(appendJSONMember(b, "cloudToDeviceMessageCount"), int64(c.C2DCount), 10)
	b = text(b, "authenticationType", string(i.Authentication.Type))
	b = appendJSONThumbprints(b, i.Authentication.X509Thumbprint, "PrimaryThumbprint", "SecondaryThumbprint")
	b = text(b, "modelId", t.ModelID)
	b = strconv.AppendInt(appendJSONMember(b, "version"), t.Version, 10)
	b, err := appendJSONValue(appendJSONMember(b, "tags"), t.Tags)
	if err != nil {
		return nil, err
	}
	if b, err = t.appendProperties(appendJSONMember(b, "properties"), true); err != nil {
		return nil, err
	}
	b = appendJSONScopes(b, i)
	if len(c.Configurations) > 0 {
		if b, err = appendJSONValue(appendJSONMember(b, "configurations"), c.Configurations); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendJSONThumbprints appends x509Thumbprint; the names of its members differ.
func appendJSONThumbprints(b []byte, t X509Thumbprint, primary, secondary string) []byte {
	b = append(appendJSONMember(b, "x509Thumbprint"), '{')
	for _, m := range []struct {
		name  string
		value *string
	}{{primary, t.PrimaryThumbprint}, {secondary, t.SecondaryThumbprint}} {
		b = appendJSONMember(b, m.name)
		if m.value == nil {
			b = append(b, "null"...)
		} else {
			b = appendJSONString(b, *m.value)
		}
	}
	return append(b, '}')
}

// appendJSONScopes appends the capabilities of a device and its scopes, if it has any.
func appendJSONScopes(b []byte, i Identity) []byte {
	b = strconv.AppendBool(append(appendJSONMember(b, "capabilities"), `{"iotEdge":`...), i.Capabilities.IoTEdge)
	b = append(b, '}')
	if i.DeviceScope != "" {
		b = appendJSONString(appendJSONMember(b, "deviceScope"), i.DeviceScope)
	}
	if len(i.ParentScopes) > 0 {
		b = appendJSONTexts(appendJSONMember(b, "parentScopes"), i.ParentScopes)
	}
	return b
}

// MarshalDeviceTwin returns the twin as the device itself sees it: desired and
// reported properties with $version and without metadata.
// Source: IoT Hub, communicate using the MQTT protocol (retrieve device twin).
func MarshalDeviceTwin(t Twin) ([]byte, error) {
	return t.appendProperties(make([]byte, 0, 1024), false)
}

// MarshalDesiredPatch returns the body of a desired property notification: the
// patch as written, nulls included, with $version.
func MarshalDesiredPatch(patch map[string]any, version int64) ([]byte, error) {
	return Section{Values: patch, Version: version}.appendDocument(make([]byte, 0, 256), false)
}
