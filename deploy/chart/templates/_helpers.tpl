{{/* The name of every object: the release's, with the chart's where that is not in it. */}}
{{- define "logoff-worker.name" -}}
{{- if contains "logoff-worker" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-logoff-worker" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which pods are found. They must never change: a Deployment cannot be given others. */}}
{{- define "logoff-worker.selector" -}}
app.kubernetes.io/name: logoff-worker
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "logoff-worker.labels" -}}
{{ include "logoff-worker.selector" . }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of an object. */}}
{{- define "logoff-worker.metadata" -}}
labels:
  {{- include "logoff-worker.labels" . | nindent 2 }}
{{- with .Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A setting's value as its variable has it. A number from a file of values is a float, which Go would print as 1e+06. */}}
{{- define "logoff-worker.value" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if kindIs "float64" . -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* The port of a URL, or its scheme's. */}}
{{- define "logoff-worker.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (get (dict "http" "80" "ws" "80" "https" "443" "wss" "443") $url.scheme) | default "4222" -}}
{{- end -}}

{{/* The ports of some URLs, as a NetworkPolicy has them, each once. */}}
{{- define "logoff-worker.ports" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (include "logoff-worker.port" .) -}}
{{- end -}}
{{- range $i, $port := $ports | uniq | sortAlpha }}
{{- if $i }}
{{ end -}}
- protocol: TCP
  port: {{ $port }}
{{- end -}}
{{- end -}}

{{/* The name of a stream: that of LOGOFF_PREFIX, in capitals and without dots. */}}
{{- define "logoff-worker.stream" -}}
{{- .Values.settings.LOGOFF_PREFIX | replace "." "_" | upper -}}
{{- end -}}

{{/* What all streams made by NACK have in common. Their content outlives the release. */}}
{{- define "logoff-worker.streamCommon" -}}
storage: file
discard: new
replicas: {{ .Values.settings.LOGOFF_NATS_REPLICAS | default 1 | int }}
{{- with .Values.settings.LOGOFF_NATS_MAX_BYTES }}
maxBytes: {{ include "logoff-worker.bytes" . }}
{{- end }}
preventDelete: true
{{- include "logoff-worker.nack" . }}
{{- end -}}

{{/* A number of bytes with a unit, as a number. */}}
{{- define "logoff-worker.bytes" -}}
{{ mul (regexFind "^[0-9]+" . | int64) (get (dict "M" 1048576 "G" 1073741824 "T" 1099511627776) (regexFind "[MGT]" .)) }}
{{- end -}}

{{/* What all objects of NACK have in common: where it finds JetStream. */}}
{{- define "logoff-worker.nack" -}}
{{- with .Values.nack.account }}
account: {{ . | quote }}
{{- end }}
{{- with .Values.settings.LOGOFF_NATS_DOMAIN }}
jsDomain: {{ . | quote }}
{{- end }}
{{- end -}}
