package emulator

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// scripted is a listen function that refuses some ports.
func scripted(refused map[int]error) func(string, int) (net.Listener, error) {
	return func(bind string, port int) (net.Listener, error) {
		if err := refused[port]; err != nil {
			return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", err)}
		}
		return &net.TCPListener{}, nil
	}
}

func TestListenWithFallback(t *testing.T) {
	for name, tt := range map[string]struct {
		refused  map[int]error
		fallback int
		fellBack bool
		want     error
	}{
		"allowed":                    {nil, 8443, false, nil},
		"not permitted":              {map[int]error{443: syscall.EACCES}, 8443, true, nil},
		"not permitted, no fallback": {map[int]error{443: syscall.EACCES}, 0, false, fs.ErrPermission},
		"in use is no reason":        {map[int]error{443: syscall.EADDRINUSE}, 8443, false, syscall.EADDRINUSE},
		"fallback in use":            {map[int]error{443: syscall.EACCES, 8443: syscall.EADDRINUSE}, 8443, false, syscall.EADDRINUSE},
	} {
		t.Run(name, func(t *testing.T) {
			l, fellBack, err := listenWithFallback(scripted(tt.refused), "127.0.0.1", 443, tt.fallback)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if fellBack != tt.fellBack {
				t.Errorf("fell back: %t, want %t", fellBack, tt.fellBack)
			}
			if (l == nil) != (tt.want != nil) {
				t.Errorf("listener %v with error %v", l, err)
			}
		})
	}
}

func TestJoinedListenerClosesAll(t *testing.T) {
	var parts []net.Listener
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, l)
	}
	j := join(parts...)
	for _, part := range parts {
		client, err := net.Dial("tcp", part.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := j.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := server.LocalAddr().String(), part.Addr().String(); got != want {
			t.Errorf("accepted on %s, want %s", got, want)
		}
		_, _ = client.Close(), server.Close()
	}
	// A client that nobody accepted is not left hanging.
	waiting, err := net.Dial("tcp", parts[1].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	for range 2 {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := j.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v, want net.ErrClosed", err)
	}
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("the waiting client reads something")
	}
	for _, part := range parts {
		// The port may be another program's by now.
		if _, err := part.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is still open: %v", part.Addr(), err)
		}
	}
}

func TestHostNameSyntax(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "hub1.localhost": true, "MyHub.azure-devices.net": true, "my_service": true, "10.0.0.7": true, "::1": true,
		"": false, "hub.": false, "-hub": false, "hub-.x": false, "a b": false, "https://hub": false, "hub:443": false, "hüb": false,
		strings.Repeat("a", 64): false, strings.Repeat("a.", 127) + "a": false,
	} {
		if got := validHostName(name); got != want {
			t.Errorf("validHostName(%q) = %t, want %t", name, got, want)
		}
	}
}
