package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Certificate is a registered certificate authority, in the words of the IoT
// Hub resource API.
type Certificate struct {
	Name       string `json:"name"`
	Subject    string `json:"subject" doc:"Distinguished name."`
	Thumbprint string `json:"thumbprint" doc:"SHA-1, upper case hex."`
	Expiry     string `json:"expiry" doc:"UTC, ISO 8601."`
	IsVerified bool   `json:"isVerified" doc:"Devices are let in only by a CA that is verified."`
	Created    string `json:"created" doc:"UTC, ISO 8601."`
	Updated    string `json:"updated" doc:"UTC, ISO 8601."`
	// VerificationCode is there between its generation and the proof.
	VerificationCode string `json:"verificationCode,omitempty" doc:"The common name that the verification certificate must have."`
}

// CertificateBody is a certificate to register.
type CertificateBody struct {
	Certificate string `json:"certificate" doc:"One certificate: PEM, or base64 as the resource API takes it."`
	IsVerified  bool   `json:"isVerified,omitempty" default:"false" doc:"Verified without proof of possession."`
}

// VerificationBody is the proof of possession.
type VerificationBody struct {
	Certificate string `json:"certificate" doc:"A certificate whose common name is the verification code, signed by the CA: PEM or base64."`
}

// DeviceCertificateRequest asks for a certificate for tests. The key stays with
// whoever asks.
type DeviceCertificateRequest struct {
	DeviceID           string `json:"deviceId"`
	ModuleID           string `json:"moduleId,omitempty"`
	CertificateRequest string `json:"certificateRequest" doc:"PKCS #10, as PEM; only its key counts."`
	Days               int    `json:"days,omitempty" default:"365" minimum:"1" maximum:"36500" doc:"How long it is valid."`
	Expired            bool   `json:"expired,omitempty" default:"false" doc:"One that ended yesterday, to see it refused."`
}

// DeviceCertificate is such a certificate.
type DeviceCertificate struct {
	Chain string `json:"chain" doc:"PEM: the certificate, then the CA's."`
	CA    string `json:"ca" doc:"Name of the CA, which is registered and verified."`
}

type (
	certificatesOutput struct {
		Body struct {
			Certificates []Certificate `json:"certificates" nullable:"false"`
		}
	}
	certificateOutput struct{ Body Certificate }
)

func (s *server) registerCertificates() {
	const one = "/certificates/{name}"
	huma.Register(s.api, huma.Operation{
		OperationID: "certificates", Method: http.MethodGet, Path: "/certificates",
		Summary: "The certificate authorities of devices of the type certificateAuthority",
	}, func(ctx context.Context, _ *struct{}) (*certificatesOutput, error) {
		out := new(certificatesOutput)
		out.Body.Certificates = []Certificate{}
		for _, ca := range s.hub(ctx).CACertificates() {
			out.Body.Certificates = append(out.Body.Certificates, certificateJSON(ca))
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "certificate", Method: http.MethodGet, Path: one, Summary: "One certificate authority",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*certificateOutput, error) {
		return s.certificate(s.hub(ctx).CACertificate(in.Name))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "putCertificate", Method: http.MethodPut, Path: one, Summary: "Register or replace a certificate authority",
		Description: "Kept over restarts; at most 25. Replacing a certificate disconnects the devices that the old one let in.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Body CertificateBody
	},
	) (*certificateOutput, error) {
		return s.certificate(s.hub(ctx).PutCACertificate(ctx, in.Name, []byte(in.Body.Certificate), in.Body.IsVerified))
	})
	s.registerDelete("Certificate", one, "Remove a certificate authority and disconnect the devices that it let in", (*hub.Hub).DeleteCACertificate)
	huma.Register(s.api, huma.Operation{
		OperationID: "generateVerificationCode", Method: http.MethodPost, Path: one + "/generateVerificationCode",
		Summary: "Generate a verification code", Description: "An earlier code is no longer taken.",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*certificateOutput, error) {
		return s.certificate(s.hub(ctx).NewVerificationCode(ctx, in.Name))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "verifyCertificate", Method: http.MethodPost, Path: one + "/verify",
		Summary: "Prove the possession of the CA's key", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Body VerificationBody
	},
	) (*certificateOutput, error) {
		return s.certificate(s.hub(ctx).VerifyCACertificate(ctx, in.Name, []byte(in.Body.Certificate)))
	})
	if s.IssueDevice != nil {
		s.registerIssueDevice()
	}
}

func (s *server) registerIssueDevice() {
	huma.Register(s.api, huma.Operation{
		OperationID: "issueDeviceCertificate", Method: http.MethodPost, Path: "/device-certificates",
		Summary:     "Sign a certificate for a device or module, for tests",
		Description: "By an authority of the emulator's own, which is made and registered at its first use.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden},
	}, func(ctx context.Context, in *struct{ Body DeviceCertificateRequest }) (*struct{ Body DeviceCertificate }, error) {
		issued, err := s.IssueDevice(ctx, s.hub(ctx), in.Body)
		if err != nil {
			return nil, s.problem(err)
		}
		return &struct{ Body DeviceCertificate }{issued}, nil
	})
}

func (s *server) certificate(ca iothub.CACertificate, err error) (*certificateOutput, error) {
	if err != nil {
		return nil, s.problem(err)
	}
	return &certificateOutput{certificateJSON(ca)}, nil
}

func certificateJSON(ca iothub.CACertificate) Certificate {
	return Certificate{
		Name: ca.Name, Subject: ca.Subject, Thumbprint: ca.Thumbprint, Expiry: iothub.FormatTime(ca.Expiry),
		IsVerified: ca.Verified, VerificationCode: ca.VerificationCode,
		Created: iothub.FormatTime(ca.Created), Updated: iothub.FormatTime(ca.Updated),
	}
}
