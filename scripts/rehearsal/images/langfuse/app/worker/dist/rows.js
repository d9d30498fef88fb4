'use strict';
// From what came in to the rows of ClickHouse's tables.

const seconds = (ms) => Math.floor(ms / 1000);
const now = () => seconds(Date.now());
const text = (value) => (value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value));

function attributesOf(list = []) {
  const unwrap = ({ stringValue, intValue, doubleValue, boolValue, arrayValue }) =>
    stringValue ?? intValue ?? doubleValue ?? boolValue ?? arrayValue?.values?.map(unwrap) ?? null;
  return Object.fromEntries(list.map(({ key, value }) => [key, unwrap(value ?? {})]));
}

const eventOf = (o) => ({
  span_id: o.id, trace_id: o.trace_id, project_id: o.project_id, parent_span_id: o.parent_observation_id, type: o.type, name: o.name,
  timestamp: o.timestamp, time_ms: o.time_ms, end_ms: o.end_ms, input: o.input, output: o.output, metadata: o.metadata, event_ts: o.event_ts,
});

function fromSpans(resourceSpans, project) {
  const rows = { traces: [], observations: [], events: [], scores: [] };
  for (const resource of resourceSpans) {
    for (const scope of resource.scopeSpans ?? []) {
      for (const span of scope.spans ?? []) addSpan(rows, span, project);
    }
  }
  return rows;
}

function addSpan(rows, span, project) {
  const attributes = attributesOf(span.attributes);
  const start = Math.floor(Number(span.startTimeUnixNano ?? Date.now() * 1e6) / 1e6);
  const end = Math.floor(Number(span.endTimeUnixNano ?? 0) / 1e6);
  const parent = /^0*$/.test(span.parentSpanId ?? '') ? '' : span.parentSpanId;
  const observation = {
    id: span.spanId, trace_id: span.traceId, project_id: project, parent_observation_id: parent,
    type: text(attributes['langfuse.observation.type']).toUpperCase() || 'SPAN', name: text(span.name),
    timestamp: seconds(start), time_ms: start, end_ms: end,
    input: text(attributes['langfuse.observation.input']), output: text(attributes['langfuse.observation.output']),
    metadata: JSON.stringify({ attributes }), event_ts: now(),
  };
  rows.observations.push(observation);
  rows.events.push(eventOf(observation));
  if (parent) return;
  rows.traces.push({
    id: span.traceId, project_id: project, name: text(attributes['langfuse.trace.name'] ?? span.name), timestamp: seconds(start), time_ms: start,
    user_id: text(attributes['user.id']), session_id: text(attributes['session.id']), metadata: JSON.stringify({ attributes }), event_ts: now(),
  });
}

function fromEvents(events, project) {
  const rows = { traces: [], observations: [], events: [], scores: [] };
  for (const { type, timestamp, body } of events) {
    const start = Date.parse(body.startTime ?? body.timestamp ?? timestamp) || Date.now();
    const common = { id: body.id, project_id: project, name: text(body.name), timestamp: seconds(start), event_ts: now() };
    if (type === 'trace-create') {
      rows.traces.push({ ...common, time_ms: start, user_id: text(body.userId), session_id: text(body.sessionId), metadata: text(body.metadata) });
    } else if (type === 'score-create') {
      rows.scores.push({ ...common, trace_id: text(body.traceId), value: Number(body.value) || 0 });
    } else {
      const observation = {
        ...common, trace_id: text(body.traceId), parent_observation_id: text(body.parentObservationId), type: (body.type ?? type.split('-')[0]).toUpperCase(),
        time_ms: start, end_ms: Date.parse(body.endTime) || 0, input: text(body.input), output: text(body.output), metadata: text(body.metadata),
      };
      rows.observations.push(observation);
      rows.events.push(eventOf(observation));
    }
  }
  return rows;
}

module.exports = { fromEvents, fromSpans };
