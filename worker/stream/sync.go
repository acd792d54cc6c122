package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Disk is how a NATS server writes to its disk.
type Disk struct {
	Always bool          // before it acknowledges
	Every  time.Duration // otherwise; 0 where it does not say
}

// SyncRemedy is the line of nats-server.conf with which a power cut loses nothing that was acknowledged.
const SyncRemedy = "jetstream { sync_interval: always }"

// AskDisk asks a NATS server's monitoring address, such as http://nats.example:8222, how it writes.
func AskDisk(ctx context.Context, monitor string) (Disk, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(monitor, "/")+"/varz", nil)
	if err != nil {
		return Disk{}, errors.New("it is no URL")
	}
	response, err := http.DefaultClient.Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address, which may hold a password
	}
	if err != nil {
		return Disk{}, err
	}
	defer response.Body.Close()
	var varz struct {
		JetStream struct {
			Config *struct {
				Always bool          `json:"sync_always"`
				Every  time.Duration `json:"sync_interval"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	switch err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&varz); {
	case err != nil:
		return Disk{}, fmt.Errorf("%s: %w", response.Status, err)
	case varz.JetStream.Config == nil:
		return Disk{}, errors.New("JetStream is not enabled on that server")
	}
	return Disk{varz.JetStream.Config.Always, varz.JetStream.Config.Every}, nil
}
