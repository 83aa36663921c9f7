package rest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// expectation says who may call an operation, and how it refuses the call in path.
type expectation struct {
	// policies are those of the default policies that it lets in; nil when it
	// needs no credential.
	policies []string
	// path and body are a call that nobody's rights save, on a hub with the device
	// d and its module m.
	path, body string
	// form and code are those of the refusal; code 0 when the operation has no
	// error of its own and answers 200 or 204.
	form envelope
	code iothub.Code
}

// everyOperation has a row for each route.
// Source: IoT Hub devguide, control access (permissions); the envelopes are those
// that were seen from the service.
func everyOperation() map[string]expectation {
	const (
		owner, service, device, read, write = "iothubowner", "service", "device", "registryRead", "registryReadWrite"

		twins   = "/twins/none"
		module  = "/devices/d/modules/none"
		lost    = "/5f0c3c7e-8f53-4f0c-9a53-3f6f8e0a3c55"
		patch   = `{"tags":{"a":1}}`
		method  = `{"methodName":"m"}`
		upload  = `{"blobName":"x"}`
		content = `{"modulesContent":{}}`
		queue   = "/messages/deviceBound"
	)
	var (
		readers  = []string{owner, read, write}
		writers  = []string{owner, write}
		services = []string{owner, service}
		anyRead  = []string{owner, service, read, write}
		anyWrite = []string{owner, service, write}
		devices  = []string{owner, device}
	)
	return map[string]expectation{
		"GET /devices":               {readers, "/devices?top=x", "", legacy, iothub.CodeArgumentInvalid},
		"POST /devices":              {writers, "/devices", `{}`, legacy, iothub.CodeIotHubFormatError},
		"POST /devices/query":        {anyRead, "/devices/query", `{"query":"x"}`, legacy, iothub.CodeArgumentInvalid},
		"GET /devices/{deviceID}":    {readers, "/devices/none", "", legacy, iothub.CodeDeviceNotFound},
		"PUT /devices/{deviceID}":    {writers, "/devices/d", `{"deviceId":"d"}`, legacy, iothub.CodeDeviceAlreadyExists},
		"DELETE /devices/{deviceID}": {writers, "/devices/d", "", legacy, iothub.CodePreconditionFailed},
		"GET /statistics/devices":    {anyRead, "/statistics/devices", "", legacy, 0},
		"GET /statistics/service":    {anyRead, "/statistics/service", "", legacy, 0},
		"GET /jobs":                  {writers, "/jobs", "", legacy, 0},
		"POST /jobs/create":          {writers, "/jobs/create", `{"type":"x"}`, legacy, iothub.CodeArgumentInvalid},
		"GET /jobs/{job}":            {writers, "/jobs/none", "", legacy, iothub.CodeJobNotFound},
		"DELETE /jobs/{job}":         {writers, "/jobs/none", "", legacy, iothub.CodeJobNotFound},
		"GET /jobs/v2/query":         {anyRead, "/jobs/v2/query", "", legacy, 0},
		"GET /jobs/v2/{job}":         {anyRead, "/jobs/v2/none", "", legacy, 0},
		"PUT /jobs/v2/{job}":         {anyWrite, "/jobs/v2/none", `{"type":"x"}`, legacy, iothub.CodeArgumentInvalid},
		"POST /jobs/v2/{job}/cancel": {anyWrite, "/jobs/v2/none/cancel", "", legacy, iothub.CodeJobNotFound},
		"GET /configurations":        {anyRead, "/configurations?top=x", "", legacy, iothub.CodeArgumentInvalid},
		"POST /configurations/testQueries": {
			anyRead, "/configurations/testQueries", "", legacy, iothub.CodeArgumentNull,
		},
		"GET /configurations/{configuration}":    {anyRead, "/configurations/none", "", legacy, iothub.CodeConfigurationNotFound},
		"PUT /configurations/{configuration}":    {anyWrite, "/configurations/none", `{"id":"none","content":{"x":1}}`, legacy, iothub.CodeInvalidConfigurationContent},
		"DELETE /configurations/{configuration}": {anyWrite, "/configurations/none", "", legacy, iothub.CodeConfigurationNotFound},
		"POST /devices/{deviceID}/applyconfigurationcontent": {
			anyWrite, "/devices/none/applyConfigurationContent", content, legacy, iothub.CodeDeviceNotFound,
		},
		"DELETE /devices/{deviceID}/commands": {anyWrite, "/devices/none/commands", "", legacy, iothub.CodeDeviceNotFound},

		"GET /devices/{deviceID}/modules":               {readers, "/devices/%20/modules", "", flat, iothub.CodeArgumentInvalid},
		"GET /devices/{deviceID}/modules/{moduleID}":    {readers, module, "", flat, iothub.CodeModuleNotFound},
		"PUT /devices/{deviceID}/modules/{moduleID}":    {writers, "/devices/d/modules/m", `{"deviceId":"d","moduleId":"m"}`, flat, iothub.CodeModuleAlreadyExistsOnDevice},
		"DELETE /devices/{deviceID}/modules/{moduleID}": {writers, "/devices/d/modules/m", "", flat, iothub.CodePreconditionFailed},

		"GET /twins/{deviceID}":                             {services, twins, "", legacy, iothub.CodeDeviceNotFound},
		"PATCH /twins/{deviceID}":                           {services, twins, patch, legacy, iothub.CodeDeviceNotFound},
		"PUT /twins/{deviceID}":                             {services, twins, patch, legacy, iothub.CodeDeviceNotFound},
		"GET /twins/{deviceID}/modules/{moduleID}":          {services, "/twins/d/modules/none", "", legacy, iothub.CodeDeviceNotFound},
		"PATCH /twins/{deviceID}/modules/{moduleID}":        {services, "/twins/d/modules/none", patch, legacy, iothub.CodeDeviceNotFound},
		"PUT /twins/{deviceID}/modules/{moduleID}":          {services, "/twins/d/modules/none", patch, legacy, iothub.CodeDeviceNotFound},
		"POST /twins/{deviceID}/methods":                    {services, "/twins/d/methods", method, nested, iothub.CodeDeviceNotOnline},
		"POST /twins/{deviceID}/modules/{moduleID}/methods": {services, "/twins/d/modules/m/methods", method, nested, iothub.CodeDeviceNotOnline},
		"GET /digitaltwins/{deviceID}":                      {services, "/digitaltwins/none", "", legacy, iothub.CodeDeviceNotFound},
		"PATCH /digitaltwins/{deviceID}":                    {services, "/digitaltwins/d", `{}`, legacy, iothub.CodeInvalidDigitalTwinJsonPatch},
		"POST /digitaltwins/{deviceID}/commands/{command}":  {services, "/digitaltwins/d/commands/c", "", nested, iothub.CodeDeviceNotOnline},
		"POST /digitaltwins/{deviceID}/components/{component}/commands/{command}": {
			services, "/digitaltwins/d/components/p/commands/c", "", nested, iothub.CodeDeviceNotOnline,
		},

		"GET /messages/servicebound/feedback":                {services, "/messages/serviceBound/feedback", "", legacy, 0},
		"DELETE /messages/servicebound/feedback/{lockToken}": {services, "/messages/serviceBound/feedback" + lost, "", legacy, iothub.CodeDeviceMessageLockLost},
		"POST /messages/servicebound/feedback/{lockToken}/abandon": {
			services, "/messages/serviceBound/feedback" + lost + "/abandon", "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"GET /messages/servicebound/filenotifications": {services, "/messages/serviceBound/fileNotifications", "", legacy, 0},
		"DELETE /messages/servicebound/filenotifications/{lockToken}": {
			services, "/messages/serviceBound/fileNotifications" + lost, "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"POST /messages/servicebound/filenotifications/{lockToken}/abandon": {
			services, "/messages/serviceBound/fileNotifications" + lost + "/abandon", "", legacy, iothub.CodeDeviceMessageLockLost,
		},

		"POST /devices/{deviceID}/messages/events":     {devices, "/devices/d/messages/events", strings.Repeat("x", iothub.MaxTelemetrySize+1), legacy, iothub.CodeMessageTooLarge},
		"GET /devices/{deviceID}/messages/devicebound": {devices, "/devices/d" + queue, "", legacy, 0},
		"DELETE /devices/{deviceID}/messages/devicebound/{lockToken}": {
			devices, "/devices/d" + queue + lost, "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"POST /devices/{deviceID}/messages/devicebound/{lockToken}/abandon": {
			devices, "/devices/d" + queue + lost + "/abandon", "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"POST /devices/{deviceID}/modules/{moduleID}/messages/events": {
			devices, "/devices/d/modules/m/messages/events", strings.Repeat("x", iothub.MaxTelemetrySize+1), legacy, iothub.CodeMessageTooLarge,
		},
		"GET /devices/{deviceID}/modules/{moduleID}/messages/devicebound": {devices, "/devices/d/modules/m" + queue, "", legacy, 0},
		"DELETE /devices/{deviceID}/modules/{moduleID}/messages/devicebound/{lockToken}": {
			devices, "/devices/d/modules/m" + queue + lost, "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"POST /devices/{deviceID}/modules/{moduleID}/messages/devicebound/{lockToken}/abandon": {
			devices, "/devices/d/modules/m" + queue + lost + "/abandon", "", legacy, iothub.CodeDeviceMessageLockLost,
		},
		"POST /devices/{deviceID}/files": {devices, "/devices/d/files", upload, legacy, iothub.CodeDefaultStorageEndpointNotConfigured},
		"POST /devices/{deviceID}/files/notifications": {
			devices, "/devices/d/files/notifications", `{"correlationId":"x","isSuccess":true}`, legacy, iothub.CodeInvalidFileUploadCorrelationId,
		},
		"POST /devices/{deviceID}/files/notifications/{correlationID}": {
			devices, "/devices/d/files/notifications/x", `{"isSuccess":true}`, legacy, iothub.CodeInvalidFileUploadCorrelationId,
		},

		// Refused before any credential is looked at.
		"POST /twins/{deviceID}/streams/{stream}": {nil, "/twins/d/streams/s", "", legacy, iothub.CodeGenericNotImplemented},
		"GET /$iothub/websocket":                  {nil, "/$iothub/websocket", "", legacy, iothub.CodeGenericNotImplemented},
		"GET /{port::[0-9]+}/$iothub/websocket":   {nil, "/:443/$iothub/websocket", "", legacy, iothub.CodeGenericNotImplemented},
		"GET /$servicebus/websocket":              {nil, "/$servicebus/websocket", "", legacy, iothub.CodeGenericNotImplemented},
	}
}

// Every route is in the table above and does as it says: it lets in exactly these
// policies, answers 401 in the oldest envelope to the others, and its own error in
// its own; the header names the code of the body; the tracking ID is the request's.
func TestEveryOperation(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "d", ModuleID: "m"})
	table := everyOperation()
	routes := map[string]bool{}
	err := chi.Walk(w.handler.(*Server).mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes[method+" "+route] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for route := range routes {
		if _, ok := table[route]; !ok {
			t.Errorf("no row says who may call %s and how it refuses", route)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !routes[name] {
			t.Errorf("there is no route %s", name)
			continue
		}
		want := table[name]
		t.Run(name, func(t *testing.T) {
			method, _, _ := strings.Cut(name, " ")
			target := want.path + "?" + testVersion
			if strings.Contains(want.path, "?") {
				target = want.path + "&" + testVersion
			}
			check := func(who, credential string, admitted bool) {
				a := w.raw(method, target, want.body, "Authorization", credential)
				a.t = t
				id := a.header.Get("x-ms-request-id")
				switch {
				case id == "":
					t.Errorf("%s: no x-ms-request-id", who)
				case !admitted:
					a.refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
				case want.code == 0:
					if a.status != http.StatusOK && a.status != http.StatusNoContent || a.header.Get("iothub-errorcode") != "" {
						t.Errorf("%s: status %d, %s", who, a.status, a.body)
					}
					return
				default:
					a.refused(want.form, want.code)
				}
				if !strings.Contains(a.body, strings.ReplaceAll(id, "-", "")+"-G:0-TimeStamp:") {
					t.Errorf("%s: the tracking ID is not of request %s: %s", who, id, a.body)
				}
			}
			for _, p := range registry.DefaultPolicies() {
				signed := token(t, p.Name, testHost, time.Now().Add(time.Hour))
				check(p.Name, signed, want.policies == nil || slices.Contains(want.policies, p.Name))
			}
			check("nobody", "", want.policies == nil)
			check("expired", token(t, "iothubowner", testHost, time.Now().Add(-time.Hour)), want.policies == nil)
		})
	}
}
