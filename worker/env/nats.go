package env

import (
	"net"
	"strings"

	"logoffworker/worker/stream"
)

// Embedded, in place of a server list, is the worker's embedded broker.
const Embedded = "embedded"

// NATS are the variables that say where NATS is, who a program is there, and what a worker has there.
type NATS struct {
	URL          string `default:"" desc:"NATS servers, separated by commas, or 'embedded' (required)"`
	StoreDir     string `split_words:"true" default:"./logoff-data" desc:"embedded broker: where its streams are kept"`
	Listen       string `default:"127.0.0.1:4222" desc:"embedded broker: address for other programs"`
	Provision    string `default:"create" desc:"create: create the streams and consumers that are missing; verify: only check them"`
	Domain       string `desc:"JetStream domain that has the streams, where it is not the domain of the server in LOGOFF_NATS_URL"`
	APIPrefix    string `split_words:"true" desc:"instead of a domain: the prefix of JetStream's API, such as $JS.hub.API"`
	MaxBytes     Size   `split_words:"true" default:"0" desc:"most bytes of each stream that the worker creates, such as 10GiB; 0: no limit"`
	Replicas     int    `default:"1" desc:"copies of each stream that the worker creates (3 on a cluster)"`
	CredsFile    string `split_words:"true" desc:"credentials: file with user JWT and seed"`
	NkeyFile     string `split_words:"true" desc:"credentials: file with an NKey user seed"`
	User         string `desc:"credentials: user name, with a password"`
	Password     Secret `desc:"password of the user"`
	PasswordFile string `split_words:"true" desc:"file with the password, read again at every connect"`
	Token        Secret `desc:"credentials: token"`
	TokenFile    string `split_words:"true" desc:"file with the token, read again at every connect"`
	CAFile       string `split_words:"true" desc:"PEM file that verifies the NATS servers"`
	CertFile     string `split_words:"true" desc:"PEM file with the TLS client certificate"`
	KeyFile      string `split_words:"true" desc:"PEM file with the key of the TLS client certificate"`
	TLSFirst     bool   `split_words:"true" default:"false" desc:"begin each connection with the TLS handshake, for servers with handshake_first"`
	MonitorURL   string `split_words:"true" desc:"monitoring address of a NATS server, such as http://nats.example:8222: with it 'check' can see whether the server writes to the disk at once"`
	InboxPrefix  string `split_words:"true" desc:"subject prefix of replies to the worker (default _INBOX_ and LOGOFF_PREFIX)"`
}

// Connection is the connection that the variables describe, under a name that the server shows.
func (n NATS) Connection(name, prefix string) stream.Connection {
	c := stream.Connection{
		URL:       n.URL,
		Name:      name,
		CredsFile: n.CredsFile, NKeyFile: n.NkeyFile,
		User:   n.User,
		CAFile: n.CAFile, CertFile: n.CertFile, KeyFile: n.KeyFile,
		TLSFirst: n.TLSFirst, InboxPrefix: n.InboxPrefix,
	}
	if c.InboxPrefix == "" {
		c.InboxPrefix = "_INBOX_" + prefix
	}
	if n.User != "" {
		c.Password = Source(n.Password, n.PasswordFile)
	}
	if n.Token != "" || n.TokenFile != "" {
		c.Token = Source(n.Token, n.TokenFile)
	}
	return c
}

// API is the prefix of JetStream's API; empty for that of the server itself.
func (n NATS) API() string {
	if n.Domain != "" {
		return "$JS." + n.Domain + ".API"
	}
	return strings.TrimSuffix(n.APIPrefix, ".")
}

// Servers is a list of NATS servers in the form that the client library takes in every case: with a scheme
// each, and an IPv6 address in brackets.
func Servers(list string) string {
	all := Entries(list)
	for i, server := range all {
		if strings.EqualFold(server, Embedded) {
			all[i] = Embedded
		} else if !strings.Contains(server, "://") {
			if ip := net.ParseIP(server); ip != nil && ip.To4() == nil {
				server = "[" + server + "]"
			}
			all[i] = "nats://" + server
		}
	}
	return strings.Join(all, ",")
}
