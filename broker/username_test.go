package broker

import (
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestParseUserName(t *testing.T) {
	odd := iothub.ID{DeviceID: "d?=%41;'x"}
	tests := []struct {
		name, in string
		id       iothub.ID
		want     userName
	}{
		{
			"Python", "localhost/dev-1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.2%3BLinux%29", testDevice(),
			userName{host: "localhost", apiVersion: "2019-10-01", clientType: "azure-iot-device-iothub-py/2.14.0(3.11.2;Linux)"},
		},
		{
			"Python, plug and play", "h:8883/dev-1/?api-version=2020-09-30&DeviceClientType=x&model-id=dtmi%3Acom%3Ax%3B1", testDevice(),
			userName{host: "h:8883", apiVersion: "2020-09-30", clientType: "x", modelID: "dtmi:com:x;1"},
		},
		{
			"Node, raw model", "hub.azure-devices.net/dev-1/mod/?api-version=2021-04-12&model-id=dtmi:com:x;1&DeviceClientType=a%2F1", testModule(),
			userName{host: "hub.azure-devices.net", apiVersion: "2021-04-12", clientType: "a/1", modelID: "dtmi:com:x;1"},
		},
		{"Go", "h/dev-1/api-version=2020-09-30&model-id=m", testDevice(), userName{host: "h", apiVersion: "2020-09-30", modelID: "m"}},
		{"no slash before the question mark", "h/dev-1?api-version=1", testDevice(), userName{host: "h", apiVersion: "1"}},
		{"client type with slashes", "h/dev-1/?api-version=1&DeviceClientType=py-azure/2.0/x", testDevice(), userName{host: "h", apiVersion: "1", clientType: "py-azure/2.0/x"}},
		{"plus stays plus", "h/dev-1/?api-version=1&DeviceClientType=a+b", testDevice(), userName{host: "h", apiVersion: "1", clientType: "a+b"}},
		{"bare", "h/dev-1", testDevice(), userName{host: "h"}},
		{"bare module", "h/dev-1/mod", testModule(), userName{host: "h"}},
		{"slash at the end", "h/dev-1/", testDevice(), userName{host: "h"}},
		{"odd characters, raw", "h/d?=%41;'x/?api-version=1", odd, userName{host: "h", apiVersion: "1"}},
		{"odd characters, encoded", "h/d%3F%3D%2541%3B%27x/?api-version=1", odd, userName{host: "h", apiVersion: "1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseUserName(test.in, test.id)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseUserNameRefuses(t *testing.T) {
	for _, test := range []struct {
		in   string
		id   iothub.ID
		want iothub.Code
	}{
		{"", testDevice(), iothub.CodeIotHubFormatError},
		{"localhost", testDevice(), iothub.CodeIotHubFormatError},
		{"localhost/", testDevice(), iothub.CodeIotHubFormatError},
		{"/dev-1/?api-version=1", testDevice(), iothub.CodeIotHubFormatError},
		{"h/dev-2/?api-version=1", testDevice(), iothub.CodeArgumentInvalid},
		{"h/DEV-1/?api-version=1", testDevice(), iothub.CodeArgumentInvalid},
		{"h/dev-11/?api-version=1", testDevice(), iothub.CodeArgumentInvalid},
		{"h/dev-1/mod/?api-version=1", testDevice(), iothub.CodeArgumentInvalid},
		{"h/dev-1/mod", testDevice(), iothub.CodeArgumentInvalid},
		{"h/dev-1/?api-version=1", testModule(), iothub.CodeArgumentInvalid},
		{"h/dev-1/other/?api-version=1", testModule(), iothub.CodeArgumentInvalid},
	} {
		if got, err := parseUserName(test.in, test.id); iothub.ErrorCode(err) != test.want {
			t.Errorf("%q for %s: %+v, %v; want %s", test.in, test.id, got, err, test.want)
		}
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
