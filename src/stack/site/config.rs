//! Reading a `site.toml` and using it.

use std::collections::BTreeMap;

use super::error::{Problem, SiteError};
use super::model::SiteConfig;
use super::template::Answers;
use super::tls::TlsMaterial;
use super::{egress, read, rules, template};
use crate::stack::Stack;
use crate::stack::secret::{Redactor, Secret, SecretStore};
use crate::stack::site_key::SiteKey;

impl SiteConfig {
    /// Reads the text of `site.toml` and checks all that does not depend on a
    /// stack definition.
    ///
    /// # Errors
    ///
    /// Every problem at once, see [`SiteError`].
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let (site, problems) = read::read(text)?;
        site.unless(problems)
    }

    /// Reads the text of `site.toml` and checks it in full against the stack
    /// it is meant for.
    ///
    /// # Errors
    ///
    /// Every problem at once, see [`SiteError`].
    pub fn parse_for(text: &str, stack: &Stack) -> Result<Self, SiteError> {
        let (site, mut problems) = read::read(text)?;
        problems.extend(site.problems_with(stack));
        // In the order of the file; what is missing comes last.
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        site.unless(problems)
    }

    /// What `stack` does not allow: overrides that break a secret's rule, and
    /// variables that the stack sets itself.
    pub fn problems_with(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = rules::against_stack(self, stack);
        problems.extend(egress::against_stack(self, stack));
        problems
    }

    /// Finds the appliance's secrets, and the values that the operator gave to
    /// single services, which may be credentials too.
    pub fn redactor(&self, secrets: &SecretStore) -> Redactor {
        // A short value is a setting, and would be found everywhere.
        let given = self.env_web.iter().chain(&self.env_worker);
        let given = given
            .filter(|(_, value)| value.expose().len() >= 8)
            .map(|(name, value)| (name.as_str(), value));
        Redactor::new(secrets.iter().chain(given))
    }

    /// The commented `site.toml` that the wizard writes.
    pub fn template(answers: &Answers) -> String {
        template::write(answers)
    }

    /// The values behind `${site:KEY}`; those of TLS only with `tls`.
    pub fn values(&self, tls: Option<&TlsMaterial>) -> BTreeMap<SiteKey, Secret> {
        let mut values = BTreeMap::from([
            (SiteKey::Url, self.url.to_string()),
            (SiteKey::Scheme, self.url.scheme.to_string()),
            (SiteKey::Host, self.url.host.clone()),
            (SiteKey::AdminEmail, self.admin.email.clone()),
            (SiteKey::AdminName, self.admin.name.clone()),
            (SiteKey::OrganizationId, self.organization.id.clone()),
            (SiteKey::OrganizationName, self.organization.name.clone()),
            (SiteKey::ProjectId, self.project.id.clone()),
            (SiteKey::ProjectName, self.project.name.clone()),
        ]);
        if let Some(tls) = tls {
            values.insert(SiteKey::TlsCertificate, tls.certificate.clone());
            values.insert(SiteKey::TlsKey, tls.key.expose().to_owned());
        }
        values
            .into_iter()
            .map(|(key, value)| (key, Secret::new(value)))
            .collect()
    }

    fn unless(self, problems: Vec<Problem>) -> Result<Self, SiteError> {
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(SiteError::Invalid(problems))
        }
    }
}
