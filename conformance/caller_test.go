//go:build conformance

package conformance

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// caller calls the service's REST API with the policy iothubowner, trusting the emulator's own authority only.
type caller struct {
	ready  readyFile
	tls    *tls.Config
	client *http.Client
}

func newCaller(t testing.TB, h *hub) *caller {
	t.Helper()
	pem, err := os.ReadFile(h.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", h.ready.CAFile)
	}
	config := &tls.Config{RootCAs: roots, ServerName: h.ready.HostName}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{ready: h.ready, tls: config, client: &http.Client{Timeout: time.Minute, Transport: transport}}
}

// call is one call of the service's REST API; an error means that the answer did not arrive.
func (c *caller) call(method, path string, body any, ifMatch string) (int, map[string]any, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(text)
	}
	address := fmt.Sprintf("https://127.0.0.1:%d%s?api-version=2021-04-12", c.ready.Ports.HTTPS, path)
	request, err := http.NewRequest(method, address, reader)
	if err != nil {
		return 0, nil, err
	}
	hub := connectionFields(c.ready.ConnectionStrings["iothubowner"])
	request.Host = hub["HostName"]
	request.Header.Set("Authorization", signature(hub["HostName"], hub["SharedAccessKey"], hub["SharedAccessKeyName"]))
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	if ifMatch != "" {
		request.Header.Set("If-Match", ifMatch)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			return response.StatusCode, nil, fmt.Errorf("%s %s: %w: %s", method, path, err, text)
		}
	}
	return response.StatusCode, answer, nil
}

func connectionFields(text string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(text, ";") {
		key, value, _ := strings.Cut(part, "=")
		all[key] = value
	}
	return all
}

// signature makes a shared access signature that is good for an hour.
func signature(resource, key, policy string) string {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	sr, se := url.QueryEscape(resource), strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(sr + "\n" + se))
	token := "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
	if policy != "" {
		token += "&skn=" + policy
	}
	return token
}
