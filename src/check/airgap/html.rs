//! The report as one page that needs nothing else.

use std::fmt::Write as _;

use super::picture::{escaped, picture};
use super::proof::{Leak, Proof, Sighting, Verdict};
use super::text::summary;
use crate::facts::airgap::Seen;
use crate::render::egress::Route;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}\
td,th{border-bottom:1px solid #ddd;padding:.25em .6em;text-align:left;vertical-align:top}\
.good{background:#e3f4e3}.bad{background:#fbe0e0}.open{background:#fdf3d8}\
h1+p{padding:.6em 1em;font-size:1.2em}svg{max-width:100%}summary{cursor:pointer}";

impl Proof {
    /// For a browser without a network.
    pub fn html(&self) -> String {
        let about = &self.about;
        let class = match self.verdict {
            Verdict::Proven => "good",
            Verdict::NotProven => "open",
            Verdict::Open => "bad",
        };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
             <title>Air gap of {name}</title><style>{STYLE}</style>\n\
             <h1>Air gap of {name}</h1><p class=\"{class}\">{verdict}</p>\n",
            name = escaped(&about.appliance),
            verdict = escaped(&self.verdict.to_string()),
        );
        page.push_str(&self.facts());
        let heads = ["container", "what"];
        page.push_str(&table("Ways out", &heads, self.findings.iter().map(leak)));
        let rows = self.unseen.iter().map(|why| vec![why.clone()]);
        page.push_str(&table("Not seen", &["what"], rows));
        page.push_str("<h2>Topology</h2>\n");
        page.push_str(&picture(&self.containers));
        let heads = ["container", "addresses inside", "default route", "asks"];
        page.push_str(&table(
            "Seen from inside",
            &heads,
            self.containers.iter().map(inside),
        ));
        let heads = ["container", "may reach", "which is", "for"];
        page.push_str(&table(
            "What the site allows",
            &heads,
            self.routes.iter().map(route),
        ));
        let heads = ["container", "tried by itself", "which is", "first", "times"];
        let rows = self.watched.iter().map(sighting);
        page.push_str(&table("What the containers tried", &heads, rows));
        page.push_str("<h2>What was tried from each container</h2>\n");
        for seen in &self.containers {
            page.push_str(&attempts(seen));
        }
        page.push_str("</html>\n");
        page
    }

    fn facts(&self) -> String {
        let about = &self.about;
        let key = about
            .bundle_key
            .as_deref()
            .unwrap_or("none: the signature was skipped");
        let own = self.own_connections.join(", ");
        let rows = [
            ("release", about.release.as_str()),
            ("bundle", &about.bundle),
            ("signed by", key),
            ("host", &about.host),
            ("engine", &about.engine),
            ("began", &about.began.to_string()),
            ("ended", &about.ended.to_string()),
            ("used meanwhile", &about.used.join("; ")),
            (
                "connections of lfctl over IP",
                if own.is_empty() { "none" } else { &own },
            ),
            ("report signed by", &about.key),
            ("made by", &format!("lfctl {}", about.lfctl)),
        ];
        let rows = rows.map(|(name, value)| vec![name.to_owned(), value.to_owned()]);
        table("", &[], rows.into_iter())
    }
}

fn leak(leak: &Leak) -> Vec<String> {
    vec![leak.service.clone(), leak.what.clone()]
}

fn inside(seen: &Seen) -> Vec<String> {
    let Some(inside) = &seen.inside else {
        return vec![seen.service.clone(), "not seen".to_owned()];
    };
    let addresses: Vec<_> = inside.addresses.iter().map(ToString::to_string).collect();
    let route = inside.default_route.map(|gateway| gateway.to_string());
    let resolvers: Vec<_> = inside.resolvers.iter().map(ToString::to_string).collect();
    vec![
        seen.service.clone(),
        addresses.join(", "),
        route.unwrap_or_else(|| "none".to_owned()),
        resolvers.join(", "),
    ]
}

fn route(route: &Route) -> Vec<String> {
    vec![
        route.service.clone(),
        format!("{}:{}", route.host, route.port),
        route.to.clone(),
        route.purpose.clone(),
    ]
}

fn sighting(one: &Sighting) -> Vec<String> {
    vec![
        one.service.clone(),
        one.tried.to_string(),
        one.class.to_string(),
        format!("{:.0}", one.times.first),
        one.times.count.to_string(),
    ]
}

fn attempts(seen: &Seen) -> String {
    let rows = seen.attempts.iter().map(|one| vec![one.to_string()]);
    format!(
        "<details><summary><b>{}</b>: {}</summary>{}</details>\n",
        escaped(&seen.service),
        escaped(&summary(seen)),
        table("", &["attempt"], rows)
    )
}

fn table(title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::new();
    if !title.is_empty() {
        let _ = writeln!(text, "<h2>{}</h2>", escaped(title));
    }
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return text + "<p>None.</p>\n";
    }
    text.push_str("<table>");
    if !heads.is_empty() {
        let cells: Vec<_> = heads
            .iter()
            .map(|head| format!("<th>{head}</th>"))
            .collect();
        let _ = write!(text, "<tr>{}</tr>", cells.concat());
    }
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .map(|cell| format!("<td>{}</td>", escaped(cell)))
            .collect();
        let _ = writeln!(text, "<tr>{}</tr>", cells.concat());
    }
    text + "</table>\n"
}
