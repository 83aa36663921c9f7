// Package web is the dashboard: plain pages, scripts and styles that are part of
// the binary and load nothing from elsewhere. It holds no rules of IoT Hub and
// no data; its scripts ask the management API, which serves it on the same port.
package web
