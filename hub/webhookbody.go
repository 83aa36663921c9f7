package hub

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// gridEvent is an event in the schema of Event Grid, which posts lists of them.
// Source: Azure IoT Hub as an Event Grid source.
type gridEvent struct {
	ID              string         `json:"id"`
	Topic           string         `json:"topic"`
	Subject         string         `json:"subject"`
	EventType       string         `json:"eventType"`
	EventTime       string         `json:"eventTime"`
	Data            map[string]any `json:"data"`
	DataVersion     string         `json:"dataVersion"`
	MetadataVersion string         `json:"metadataVersion"`
}

// topicPrefix stands for the subscription and resource group that there are none of.
const topicPrefix = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/HUBNERITE/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/"

// webhookBody is what a webhook gets: a list of one event. The telemetry event
// has the body as JSON when it is tagged as such, else as base64. A twin change
// has that form too, under a type of our own: Event Grid has none for it.
func webhookBody(hubName string, d *delivery) ([]byte, error) {
	t := &d.message
	properties := t.Properties.Map()
	data := map[string]any{"properties": properties}
	kind := "Microsoft.Devices.DeviceTelemetry"
	switch t.Source {
	case iothub.MessageSourceDeviceLifecycle:
		kind = map[string]string{
			string(opCreate): "Microsoft.Devices.DeviceCreated", string(opDelete): "Microsoft.Devices.DeviceDeleted",
		}[properties["opType"]]
		maps.Copy(data, map[string]any{"twin": json.RawMessage(t.Body), "hubName": hubName, "deviceId": t.ID.DeviceID})
	case iothub.MessageSourceDeviceConnectionState:
		kind = map[string]string{
			string(opConnected): "Microsoft.Devices.DeviceConnected", string(opDisconnected): "Microsoft.Devices.DeviceDisconnected",
		}[properties["opType"]]
		maps.Copy(data, map[string]any{
			"deviceConnectionStateEventInfo": json.RawMessage(t.Body), "hubName": hubName, "deviceId": t.ID.DeviceID,
		})
	case iothub.MessageSourceTwinChange:
		kind = "Hubnerite.DeviceTwinChanged"
		maps.Copy(data, telemetryData(t))
	default:
		maps.Copy(data, telemetryData(t))
	}
	if t.ID.IsModule() && data["hubName"] != nil {
		data["moduleId"] = t.ID.ModuleID
	}
	return json.Marshal([]gridEvent{{
		ID: d.id, Topic: topicPrefix + strings.ToUpper(hubName), Subject: t.ID.ResourcePath(), EventType: kind,
		EventTime: iothub.FormatTime(t.EnqueuedTime), Data: data, MetadataVersion: "1",
	}})
}

func telemetryData(t *iothub.Telemetry) map[string]any {
	system := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			system[name] = value
		}
	}
	source := t.Source
	if source == "" {
		source = iothub.MessageSourceTelemetry
	}
	set("iothub-content-type", t.System.ContentType)
	set("iothub-content-encoding", t.System.ContentEncoding)
	set("iothub-message-id", t.System.MessageID)
	set("iothub-correlation-id", t.System.CorrelationID)
	set("iothub-user-id", t.System.UserID)
	set("iothub-connection-device-id", t.ID.DeviceID)
	set("iothub-connection-module-id", t.ID.ModuleID)
	set("iothub-connection-auth-generation-id", t.GenerationID)
	if t.AuthMethod != (iothub.AuthMethod{}) {
		// Plain members always encode.
		method, _ := json.Marshal(t.AuthMethod)
		set("iothub-connection-auth-method", string(method))
	}
	set("iothub-enqueuedtime", iothub.FormatTime(t.EnqueuedTime))
	set("iothub-message-source", string(source))
	set("dt-dataschema", t.ModelID)
	set("dt-subject", t.System.Component)
	data := map[string]any{"systemProperties": system}
	if text, ok := query.JSONBody(&t.System, t.Body); ok && json.Valid(text) {
		data["body"] = json.RawMessage(text)
	} else {
		data["body"] = t.Body // base64
	}
	return data
}
