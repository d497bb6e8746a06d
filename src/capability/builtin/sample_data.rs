//! Files to try things out with.

use bytes::Bytes;
use serde_json::Value;

use crate::capability::{About, Capability, Contribution, Mount};

const FILES: [(&str, &str); 3] = [
    ("/samples/README.md", include_str!("sample_data/README.md")),
    ("/samples/sales.csv", include_str!("sample_data/sales.csv")),
    ("/samples/users.json", include_str!("sample_data/users.json")),
];

/// `sample_data`.
pub(super) struct SampleData(About);

impl SampleData {
    pub(super) fn new() -> Self {
        let about = "Puts sample files into the session: a table of sales and a list of users.";
        let about = About::new("sample_data", "Sample Data", about);
        Self(about.listed("Testing", "database").needs(&["session_file_system"]))
    }
}

impl Capability for SampleData {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "There are sample files under /samples; /samples/README.md says what they hold.";
        let mounts = FILES.iter().map(|(path, content)| Mount {
            path: (*path).to_owned(),
            content: Bytes::from_static(content.as_bytes()),
            readonly: true,
        });
        Ok(Contribution { prompt: Some(prompt.into()), mounts: mounts.collect(), ..Contribution::default() })
    }
}
