//! The simple protocol: a text of any number of statements, one implicit transaction.
//!
//! As in PostgreSQL, the whole text is parsed before any of it runs, statements outside a block
//! commit together at its end, and BEGIN turns what ran before it into part of the block.

use std::sync::Arc;

use super::Session;
use super::client::{Client, ResultFormats};
use super::extended::Portal;
use super::plans::PlanKey;
use super::statement::{Prepared, RESULT_CHANGED};
use crate::error::Result;
use crate::sql::{self, StatementKind};
use crate::types::Datum;

impl Session {
    /// Runs a text. On an error the rest of it is skipped; the caller then calls
    /// [`Session::fail`].
    pub async fn query(&mut self, client: &mut impl Client, text: Arc<str>) -> Result<()> {
        self.begin_statement(&text)?;
        self.alone = true;
        // The unnamed statement and portal do not outlive a simple query.
        self.statements.remove("");
        self.portals.remove("");
        let none: Arc<[Datum]> = Arc::from(&[][..]);
        let mut shape = self.shape(&text);
        if let Some(shape) = &shape
            && let Some(prepared) = self.find_plan(&shape.key)
        {
            self.run_prepared(client, prepared, &shape.values).await?;
            return self.end_query(client).await;
        }
        let environment = self.environment.binding(&self.settings);
        let key = PlanKey { text, types: Box::default(), environment };
        if let Some(prepared) = self.find_plan(&key) {
            self.run_prepared(client, prepared, &none).await?;
            return self.end_query(client).await;
        }
        let statements = sql::parse(&key.text)?;
        if statements.is_empty() {
            client.empty_query();
            return Ok(());
        }
        let alone = statements.len() == 1;
        self.alone = alone;
        self.several = !alone;
        for parsed in statements {
            // Each statement has `statement_timeout` for itself.
            self.backend.stop_clock();
            self.start_clock();
            self.transaction()?;
            let prepared = self.prepare_newest(Arc::new(parsed)).await?;
            if alone {
                match shape.take() {
                    Some(shape) => self.offer_shape(shape, key.clone(), &prepared),
                    None => self.offer_plan(key.clone(), &prepared),
                }
            }
            self.run_prepared(client, prepared, &none).await?;
        }
        self.end_query(client).await
    }

    /// Commits what the text began by itself. The last statement is not done before that.
    async fn end_query(&mut self, client: &mut impl Client) -> Result<()> {
        let committed = self.commit_implicit().await;
        if committed.is_err() {
            client.take_back_completion();
        }
        committed
    }

    async fn run_prepared(
        &mut self,
        client: &mut impl Client,
        prepared: Arc<Prepared>,
        parameters: &Arc<[Datum]>,
    ) -> Result<()> {
        let mut prepared = prepared;
        let mark = client.mark();
        loop {
            let formats = match prepared.kind() {
                Some(StatementKind::Fetch(fetch)) if self.is_binary(fetch) => ResultFormats::Binary,
                _ => ResultFormats::Text,
            };
            if let Some(fields) = &prepared.fields {
                client.describe(fields, &formats);
            }
            let level = self.transaction()?.level();
            let mut portal = Portal::new(prepared.clone(), parameters.clone(), formats, level);
            match (self.run(client, &mut portal, 0).await, &prepared.parsed) {
                // A table changed between binding and its lock: nobody saw the columns.
                (Err(error), Some(parsed))
                    if error.message() == RESULT_CHANGED
                        && !matches!(parsed.kind, StatementKind::Execute(..))
                        && client.rewind(mark) =>
                {
                    let types = prepared.parameters.iter().map(|ty| Some(*ty)).collect();
                    let types = Some(types).filter(|_| !parameters.is_empty());
                    prepared = Arc::new(self.prepare(parsed.clone(), types)?);
                }
                (result, _) => return result,
            }
        }
    }
}
