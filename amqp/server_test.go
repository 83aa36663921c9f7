package amqp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// certificate makes a self-signed one.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// EXTERNAL: the authenticator sees the client's certificate.
func TestTLSAndExternal(t *testing.T) {
	server, device := certificate(t, "server.example"), certificate(t, "device-1")
	node := newQueueNode()
	names := make(chan string, 1)
	node.opened = func(c *Conn) error {
		names <- c.Principal().(string) + " " + c.TLS().ServerName + " " + c.Mechanism()
		return nil
	}
	srv := NewServer(Config{
		Handler: node,
		SASL:    []Mechanism{Plain(), External()},
		Authenticate: func(_ context.Context, c Credentials) (any, error) {
			if c.Mechanism != "EXTERNAL" || c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
				return nil, errors.New("no certificate")
			}
			return c.TLS.PeerCertificates[0].Subject.CommonName, nil
		},
	})
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	options := &client.ConnOptions{
		SASLType:  client.SASLTypeExternal(""),
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "server.example", Certificates: []tls.Certificate{device}},
	}
	c, err := client.Dial(limit(t), "amqps://"+l.Addr().String(), options)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-names; got != "device-1 server.example EXTERNAL" {
		t.Errorf("seen as %q", got)
	}
	s := session(t, c)
	if err := sendLink(t, s, "q", nil).Send(limit(t), client.NewMessage(pattern(200_000)), nil); err != nil {
		t.Error(err)
	}
	options.TLSConfig.Certificates = nil
	if _, err := client.Dial(limit(t), "amqps://"+l.Addr().String(), options); err == nil {
		t.Error("let in without certificate")
	}
	if err := srv.Shutdown(limit(t)); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
	_ = c.Close()
	if err := srv.Serve(l); !errors.Is(err, ErrServerClosed) {
		t.Errorf("serve after shutdown: %v", err)
	}
	ours, theirs := net.Pipe()
	if err := srv.ServeConn(t.Context(), theirs); !errors.Is(err, ErrServerClosed) {
		t.Errorf("serve after shutdown: %v", err)
	}
	_ = ours.Close()
}

func TestMaxConnections(t *testing.T) {
	scripted(t, Config{MaxConnections: 2}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 1)
		second := connect(t, p.server)
		second.open(nil, nil, 1)
		third := connect(t, p.server)
		third.expectEnd()
		if err := <-third.ended; err == nil {
			t.Error("no reason")
		}
		_ = second.nc.Close()
		t.Log(<-second.ended)
		synctest.Wait()
		fourth := connect(t, p.server)
		fourth.open(nil, nil, 1)
	})
}

func TestShutdown(t *testing.T) {
	scripted(t, Config{}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 1)
		silent := connect(t, p.server) // in the handshake
		deaf := connect(t, p.server)   // does not answer close
		deaf.open(nil, nil, 1)
		start := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- p.server.Shutdown(context.Background()) }()
		p.expectClose("amqp:connection:forced")
		silent.expectEnd()
		deaf.expect(cClose)
		deaf.expectEnd()
		if err := <-ended; err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Whoever reads nothing holds up a shutdown for the close time-out, with TLS too, whose farewell has a longer one of its own.
func TestShutdownWithStalledReaders(t *testing.T) {
	server := certificate(t, "server.example")
	synctest.Test(t, func(t *testing.T) {
		full := make(flood, 10)
		srv := NewServer(Config{Handler: full})
		var clients []net.Conn
		ended := make(chan error, 10)
		for range 3 {
			ours, theirs := net.Pipe()
			client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
			clients = append(clients, ours)
			go func() {
				ended <- srv.ServeConn(context.Background(), tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{server}}))
			}()
			p := &peer{t: t, nc: client, server: srv, frames: make(chan frame, 100)}
			var script []byte
			for _, f := range [][]byte{
				[]byte(amqpHeader),
				amqpFrame(0, 0, cOpen, nil, openFields(nil, nil)...),
				amqpFrame(0, 0, cBegin, nil, nil, firstOut, 100, 5000, 4294967295),
				amqpFrame(0, 0, cAttach, nil, "r", 0, true, ubyte(2), ubyte(0), source("q"), target("me")),
				amqpFrame(0, 0, cFlow, nil, nil, 1000, firstOut, 100, 0, 0, 1000),
			} {
				script = append(script, f...)
			}
			p.write(script)
			<-full // and nothing of it is read
		}
		synctest.Wait()
		start := time.Now()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > defaultCloseTimeout+farewellTimeout {
			t.Errorf("the shutdown took %v", took)
		}
		for _, c := range clients {
			t.Log(<-ended)
			_ = c.Close()
		}
	})
}

// flood sends as much as it can on every link, and says so.
type flood chan struct{}

func (f flood) Open(*Conn) error                    { return nil }
func (f flood) Closed(*Conn, error)                 {}
func (f flood) Attach(*Attach) (*Acceptance, error) { return &Acceptance{Source: floodSource{f}}, nil }

type floodSource struct{ full flood }

func (f floodSource) Ready(s *Sender) {
	for s.TrySend(Message{Payload: [][]byte{pattern(30_000)}}) == nil {
	}
	f.full <- struct{}{}
}
func (f floodSource) Outcome(d *Sent, _ wire.DeliveryState) { _ = d.Settle(nil) }
func (f floodSource) Closed(*Sender, []*Sent, error)        {}

func TestShutdownCutOff(t *testing.T) {
	scripted(t, Config{CloseTimeout: time.Hour}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		p.expect(cClose)
		p.expectEnd()
	})
}

func TestServeConnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(Config{Handler: newQueueNode()})
		ours, theirs := net.Pipe()
		p := &peer{t: t, nc: ours, server: srv, frames: make(chan frame, 100)}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- srv.ServeConn(ctx, theirs) }()
		go p.read()
		p.open(nil, nil, 1)
		cancel()
		p.expectClose("amqp:connection:forced")
		if err := <-ended; condition(err) != string(wire.ErrConnectionForced) {
			t.Errorf("ended with %v", err)
		}
	})
}

// The handler's objects may be used at any time, also before there is anything to use.
func TestHandlerActsEarly(t *testing.T) {
	boom := newError(wire.ErrNotAllowed, "boom")
	for name, c := range map[string]struct {
		act  func(a *Attach)
		want []byte
	}{
		"link":       {func(a *Attach) { a.Sender.Close(boom) }, []byte{cAttach, cDetach}},
		"session":    {func(a *Attach) { a.Session.End(boom) }, []byte{cEnd}},
		"connection": {func(a *Attach) { a.Session.Conn().Close(boom) }, []byte{cClose}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &earlyHandler{closings: closings{queueNode: newQueueNode()}, act: c.act}
			scripted(t, Config{Handler: h}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 10)
				p.send(0, cAttach, "l", 0, true, nil, nil, source("a"), target("b"))
				var f frame
				for _, code := range c.want {
					f = p.expect(code)
				}
				p.same("amqp:not-allowed", p.condition(f.fields[len(f.fields)-1]))
				p.send(0, f.code, f.fields[0]) // the answer; enough of it for each of the three
				synctest.Wait()
				_ = p.nc.Close()
				t.Log(<-p.ended)
				p.same("l", h.log[0][:1]) // the link the handler had let in has ended for it, too
			})
		})
	}
}

type earlyHandler struct {
	closings
	act func(a *Attach)
}

func (h *earlyHandler) Attach(a *Attach) (*Acceptance, error) {
	h.act(a)
	return h.closings.Attach(a)
}
