package webserver

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestDocumentIsSpelledAsTheVendorsSample(t *testing.T) {
	got := string(AppendDocument(nil, []string{emc, guid}))
	want := `<?xml version="1.0" encoding="utf-8"?><Api_LogoffUsersRequest><sessions val="` + emc + `"/><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if DocumentOverhead != 87 || SessionSize(guid) != 54 || SessionSize(emc) != 57 {
		t.Errorf("sizes %d, %d, %d", DocumentOverhead, SessionSize(guid), SessionSize(emc))
	}
}

func TestDocumentEscapesWhatXMLReserves(t *testing.T) {
	id := `a"/><sessions val='b'&<`
	got := string(AppendDocument([]byte("x"), []string{id}))
	if want := `val="a&quot;/&gt;&lt;sessions val=&apos;b&apos;&amp;&lt;"/>`; !strings.HasPrefix(got, "x<?xml") || !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestUnfitIDsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	s := serve(t, nil)
	c := s.client(t)
	for _, ids := range [][]string{nil, {""}, {guid, "a\nb"}, {"a\x00"}, {"a\xff"}, {"a\uFFFE"}, {"a\u0085"}} {
		e := facts(t, c.Logoff(t.Context(), Origin{ID: "r"}, ids))
		if e.Verdict != Refused || e.Sent || e.Status != 0 {
			t.Errorf("%q: %+v", ids, e)
		}
	}
	if n := len(s.received("Sessions")); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// readDocument reads the IDs back, as any XML parser would.
func readDocument(document []byte) ([]string, error) {
	var ids []string
	d := xml.NewDecoder(bytes.NewReader(document))
	for depth := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && t.Name.Local == "Api_LogoffUsersRequest" && len(t.Attr) == 0:
			case depth == 2 && t.Name.Local == "sessions" && len(t.Attr) == 1 && t.Attr[0].Name.Local == "val":
				ids = append(ids, t.Attr[0].Value)
			default:
				return nil, fmt.Errorf("element %v at depth %d", t, depth)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			return nil, fmt.Errorf("text %q", t)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(guid, emc)
	f.Add(`a"/><sessions val="b`, "&amp;&#1;<![CDATA[]]>")
	f.Add(" a ", "{x}.:_-'")
	f.Add("\uFFFD\u2028", "\t")
	f.Fuzz(func(t *testing.T, a, b string) {
		ids := []string{a, b}
		if misfit(a) != "" || misfit(b) != "" {
			return
		}
		document := AppendDocument(nil, ids)
		if want := DocumentOverhead + SessionSize(a) + SessionSize(b); len(document) != want {
			t.Fatalf("%d bytes, not %d", len(document), want)
		}
		got, err := readDocument(document)
		if err != nil || !slices.Equal(got, ids) {
			t.Fatalf("%q came back as %q: %v", ids, got, err)
		}
	})
}

func BenchmarkAppendDocument(b *testing.B) {
	ids := slices.Repeat([]string{guid, emc}, 250)
	var document []byte
	b.ReportAllocs()
	for b.Loop() {
		document = AppendDocument(document[:0], ids)
	}
	b.SetBytes(int64(len(document)))
}
