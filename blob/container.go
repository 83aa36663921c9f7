package blob

import (
	"net/http"
)

func (s *Server) createContainer(w http.ResponseWriter, r *request) error {
	metadata, err := r.metadata()
	if err != nil {
		return err
	}
	if r.Header.Get("x-ms-blob-public-access") != "" {
		return errNotImplemented("public access")
	}
	c, err := s.files.create(r.container, metadata)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", c.ETag)
	w.Header().Set("Last-Modified", c.Created.Format(http.TimeFormat))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) deleteContainer(w http.ResponseWriter, r *request) error {
	if err := s.files.drop(r.container); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) containerProperties(w http.ResponseWriter, r *request) error {
	h := w.Header()
	err := s.files.look(r.container, func(c *folder) error {
		h.Set("ETag", c.ETag)
		h.Set("Last-Modified", c.Created.Format(http.TimeFormat))
		for name, value := range c.Metadata {
			h.Set("x-ms-meta-"+name, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-has-immutability-policy", "false")
	h.Set("x-ms-has-legal-hold", "false")
	w.WriteHeader(http.StatusOK)
	return nil
}
