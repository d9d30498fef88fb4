//! The tables `[[egress]]`.

use std::collections::BTreeSet;

use super::Reader;
use crate::stack::site::model::Egress;
use crate::stack::site::section::Section;
use crate::stack::site::{egress, rules};

impl Reader<'_> {
    pub(super) fn egress(&mut self, root: &Section<'_>) -> Vec<Egress> {
        let Some(value) = self.find(root, "egress") else {
            return Vec::new();
        };
        let Some(entries) = value.as_array() else {
            let remedy = "write `[[egress]]` above each entry";
            self.problem("egress".to_owned(), "is not a list of tables", remedy);
            return Vec::new();
        };
        let mut list = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let section = Section {
                path: format!("egress.{}", index + 1),
                table: entry.get_ref().as_table(),
            };
            self.record_line(&section.path, entry.span().start);
            list.push(self.egress_entry(&section));
        }
        list
    }

    fn egress_entry(&mut self, section: &Section<'_>) -> Egress {
        self.only(section, &["name", "to", "address", "services", "purpose"]);
        for (key, remedy) in [
            ("name", "write a short name, such as `name = \"llm\"`"),
            ("to", "write `to = \"HOST:PORT\"`"),
            (
                "services",
                "write `services = [\"web\", \"worker\"]` or one of them",
            ),
            (
                "purpose",
                "write what it is for, such as `purpose = \"LLM gateway\"`",
            ),
        ] {
            self.required(section, key, remedy);
        }
        let (host, port) = self.checked(section, "to", (String::new(), 0), egress::target);
        Egress {
            name: self.checked(section, "name", String::new(), egress::entry_name),
            host,
            port,
            address: self.checked(section, "address", None, |text| {
                egress::address(text).map(Some)
            }),
            services: self.list(section, "services"),
            purpose: self.checked(section, "purpose", String::new(), rules::name),
        }
    }

    /// A list of texts without repetition.
    fn list(&mut self, section: &Section<'_>, key: &str) -> Vec<String> {
        let Some(value) = self.find(section, key) else {
            return Vec::new();
        };
        let texts = value.as_array().map(|array| {
            let texts = array.iter().map(|item| item.get_ref().as_str());
            texts
                .map(|text| text.map(str::to_owned))
                .collect::<Option<BTreeSet<_>>>()
        });
        match texts {
            Some(Some(texts)) if !texts.is_empty() => texts.into_iter().collect(),
            _ => {
                let remedy = "write one or more in double quotes between `[` and `]`";
                self.problem(section.path_of(key), "is not a list of texts", remedy);
                Vec::new()
            }
        }
    }
}
